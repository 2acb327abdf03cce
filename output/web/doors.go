package web

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"varde/event/human"
)

// Bounds on logins.
const (
	sessionIdle  = 12 * time.Hour
	sessionMost  = 7 * 24 * time.Hour
	maxSessions  = 1000
	maxStrangers = 4096 // addresses whose wrong logins are remembered
	freeTries    = 5    // wrong logins before an address has to wait
	longestWait  = 15 * time.Minute
	hashesAtOnce = 2 // each takes 64 MiB
)

// doors knows users, who is in, and who has tried in vain.
type doors struct {
	users  map[string]hash
	nobody hash // what a name that nobody has is compared with, so that it takes as long
	now    func() time.Time
	busy   chan struct{}

	mu        sync.Mutex
	inside    map[[sha256.Size]byte]*visitor // by the hash of the token: a copy of memory opens nothing
	strangers map[netip.Addr]*stranger
}

type visitor struct {
	name         string
	since, until time.Time
}

type stranger struct {
	wrong int
	last  time.Time
	wait  time.Time // no try before
}

func newDoors(users []User, now func() time.Time) *doors {
	d := &doors{
		users: map[string]hash{}, now: now, busy: make(chan struct{}, hashesAtOnce),
		nobody: hash{time: hashTime, memory: hashMemory, threads: hashThreads, salt: make([]byte, saltSize), key: make([]byte, keySize)},
		inside: map[[sha256.Size]byte]*visitor{}, strangers: map[netip.Addr]*stranger{},
	}
	for _, u := range users {
		h, _ := parseHash(u.Hash) // Check has read it
		d.users[u.Name] = h
		d.nobody.time, d.nobody.memory, d.nobody.threads = h.time, h.memory, h.threads
	}
	return d
}

// try tells whether name and password are right, and how long to wait where the address has tried too often.
func (d *doors) try(ctx context.Context, from netip.Addr, name, password string) (ok bool, wait time.Duration) {
	if wait := d.waits(from); wait > 0 {
		return false, wait
	}
	select {
	case d.busy <- struct{}{}:
		defer func() { <-d.busy }()
	case <-ctx.Done():
		return false, time.Second
	}
	if wait := d.waits(from); wait > 0 {
		return false, wait // others from there were wrong meanwhile
	}
	h, known := d.users[name]
	if !known {
		h = d.nobody
	}
	right := len(password) <= maxPassword && h.is(password) && known
	d.mu.Lock()
	defer d.mu.Unlock()
	if right {
		delete(d.strangers, from)
		return true, 0
	}
	d.note(from)
	return false, 0
}

func (d *doors) waits(from netip.Addr) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s := d.strangers[from]; s != nil {
		return s.wait.Sub(d.now())
	}
	return 0
}

// note counts a wrong login. Beyond the free tries each doubles the time to wait.
func (d *doors) note(from netip.Addr) {
	now := d.now()
	s := d.strangers[from]
	if s == nil || now.Sub(s.last) > 2*longestWait {
		if len(d.strangers) >= maxStrangers {
			d.forgetStranger()
		}
		s = &stranger{}
		d.strangers[from] = s
	}
	s.wrong++
	s.last = now
	if over := s.wrong - freeTries; over >= 0 {
		s.wait = now.Add(min(time.Second<<min(over, 20), longestWait))
	}
}

// forgetStranger forgets who has tried least lately.
func (d *doors) forgetStranger() {
	var oldest netip.Addr
	var at time.Time
	for a, s := range d.strangers {
		if at.IsZero() || s.last.Before(at) {
			oldest, at = a, s.last
		}
	}
	delete(d.strangers, oldest)
}

// enter makes a session and gives its token.
func (d *doors) enter(name string) string {
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // it never fails
	token := hex.EncodeToString(raw)
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	var oldest [sha256.Size]byte
	var at time.Time
	for k, v := range d.inside {
		if now.After(v.until) {
			delete(d.inside, k)
		} else if at.IsZero() || v.until.Before(at) {
			oldest, at = k, v.until
		}
	}
	if len(d.inside) >= maxSessions {
		delete(d.inside, oldest)
	}
	d.inside[sha256.Sum256([]byte(token))] = &visitor{name, now, now.Add(sessionIdle)}
	return token
}

// find tells whose session a token is, and lengthens it.
func (d *doors) find(token string) (name string, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	key := sha256.Sum256([]byte(token))
	v := d.inside[key]
	if v == nil {
		return "", false
	}
	now := d.now()
	if now.After(v.until) || now.Sub(v.since) > sessionMost {
		delete(d.inside, key)
		return "", false
	}
	v.until = now.Add(sessionIdle)
	return v.name, true
}

func (d *doors) leave(token string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.inside, sha256.Sum256([]byte(token)))
}

// cookieName has the prefix that keeps other hosts from setting it, where browsers allow it.
func (s *Server) cookieName() string {
	if s.secure {
		return "__Host-varde"
	}
	return "varde"
}

func (s *Server) token(r *http.Request) string {
	c, err := r.Cookie(s.cookieName())
	if err != nil {
		return ""
	}
	return c.Value
}

// who is the name that an acknowledgement or a mute carries.
func (s *Server) who(r *http.Request) string {
	name, _ := s.doors.find(s.token(r))
	return name
}

// allowed refuses who is not logged in where that is needed.
func (s *Server) allowed(r *http.Request) error {
	if len(s.cfg.Users) == 0 {
		return nil
	}
	if _, ok := s.doors.find(s.token(r)); !ok {
		return &problem{status: http.StatusUnauthorized, Message: "log in first"}
	}
	return nil
}

func (s *Server) setCookie(w http.ResponseWriter, token string, age time.Duration) {
	c := &http.Cookie{
		Name: s.cookieName(), Value: token, Path: "/", MaxAge: int(age / time.Second),
		HttpOnly: true, Secure: s.secure, SameSite: http.SameSiteStrictMode,
	}
	if token == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}

// getSession tells who is logged in and whether that is needed.
func (s *Server) getSession(r *http.Request) (answer, error) {
	login, version := s.allowed(r) != nil, s.deps.Version
	if login {
		version = "" // it would tell strangers what to try
	}
	return answer{body: struct {
		Login   bool      `json:"login"` // one must log in
		User    string    `json:"user,omitempty"`
		Version string    `json:"version,omitempty"`
		Store   bool      `json:"store"` // something is stored
		Now     time.Time `json:"now"`
	}{login, s.who(r), version, s.deps.Store != nil, s.deps.Now().UTC()}}, nil
}

// credentials are what one logs in with.
type credentials struct {
	Name     string `json:"name"`
	Password string `json:"password"`
}

func (s *Server) login(w http.ResponseWriter, r *http.Request) {
	var want credentials
	if err := body(r, &want); err != nil {
		s.refuse(w, r, err)
		return
	}
	if len(s.cfg.Users) == 0 {
		s.refuse(w, r, bad("nobody needs to log in here"))
		return
	}
	from := s.caller(r)
	ok, wait := s.doors.try(r.Context(), from, want.Name, want.Password)
	switch {
	case wait > 0:
		seconds := int(wait/time.Second) + 1
		s.refuse(w, r, &problem{
			status: http.StatusTooManyRequests, retry: strconv.Itoa(seconds),
			Message: "too many wrong logins from your address; wait " + human.Span(time.Duration(seconds)*time.Second),
		})
	case !ok:
		s.log.Warn("wrong login", "from", from, "name", human.Safe(shorten(want.Name, maxName)))
		s.refuse(w, r, &problem{status: http.StatusUnauthorized, Message: "name or password is wrong"})
	default:
		if old := s.token(r); old != "" {
			s.doors.leave(old)
		}
		token := s.doors.enter(want.Name)
		s.log.Info("login", "from", from, "name", want.Name)
		s.setCookie(w, token, sessionMost)
		s.write(w, r, answer{body: struct {
			User string `json:"user"`
		}{want.Name}}, func() {})
	}
}

func (s *Server) logout(w http.ResponseWriter, r *http.Request) {
	s.doors.leave(s.token(r))
	s.setCookie(w, "", 0)
	s.write(w, r, answer{body: struct{}{}}, func() {})
}

// caller is who logs in. Behind a proxy on this machine it is whom that one names, so that one stranger's wrong logins do
// not keep out everybody.
func (s *Server) caller(r *http.Request) netip.Addr {
	who := callerOf(r.RemoteAddr)
	if s.cfg.URL != "" && who.IsLoopback() {
		if said, ok := forwarded(r.Header); ok {
			return customer(said)
		}
	}
	return who
}

// forwarded is the last address of X-Forwarded-For, which the nearest proxy wrote; those before it anybody may invent.
func forwarded(h http.Header) (netip.Addr, bool) {
	lines := h.Values("X-Forwarded-For")
	if len(lines) == 0 {
		return netip.Addr{}, false
	}
	last := lines[len(lines)-1]
	a, err := netip.ParseAddr(strings.TrimSpace(last[strings.LastIndexByte(last, ',')+1:]))
	return a, err == nil
}
