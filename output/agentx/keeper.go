package agentx

import (
	"context"
	"slices"
	"sync"
	"time"
)

// keeper gives every request a picture.
//
// AgentX knows no walk: a walk reaches a sub-agent as single searches, each from the name that the one before it
// found. So the keeper remembers of the last searches from which picture they were answered and where they ended.
// A search that begins there goes on in the same picture, however old it is by then (up to walkLimit), and so does
// everything that belongs to one SNMP request, which shares a transaction number. A search that begins anywhere
// else, and every Get, has a picture that is at most as old as the configuration says. Hence each of many walks side
// by side sees one moment only, unless two go through the same names: then the later may take the other along.
type keeper struct {
	every time.Duration // a picture older than this is not given to a new walk
	make  func(context.Context) *picture

	mu      sync.Mutex
	now     *picture
	due     time.Time     // when now is to be replaced
	took    time.Duration // to make it
	running chan struct{} // closed when the picture being made is there; nil when none is
	makers  sync.WaitGroup

	// Used by the goroutine of the session alone.
	walks   [maxWalks]trace
	queries [maxQueries]trace
}

// trace is what is remembered of a search or request.
type trace struct {
	at          oid    // where the search ended
	transaction uint32 // of the request
	picture     *picture
	used        time.Time
}

const (
	maxWalks   = 64              // walks side by side that are told apart
	maxQueries = 16              // requests side by side that are told apart
	walkLimit  = time.Minute     // how old the picture of a walk may become
	traceLimit = 5 * time.Second // how long nobody may go on with a search or request until it is forgotten

	// patience is how long a request waits for a new picture; then it is answered from the old one. SNMP managers
	// wait for one second, by default.
	patience = 300 * time.Millisecond

	// slowFactor keeps making pictures from taking more than an eighth of the time; longestDue ends that.
	slowFactor = 8
	longestDue = 20 * time.Minute
)

// first waits for a first picture, so that no request has to. Without one ctx has ended.
func (k *keeper) first(ctx context.Context) bool { return k.fresh(ctx, time.Hour) != nil }

// fresh gives a picture that is not due to be replaced, if it can be had in time.
func (k *keeper) fresh(ctx context.Context, patience time.Duration) *picture {
	k.mu.Lock()
	now := k.now
	if now != nil && time.Now().Before(k.due) {
		k.mu.Unlock()
		return now
	}
	if k.running == nil {
		k.running = make(chan struct{})
		k.makers.Go(func() { k.renew(ctx) })
	}
	running := k.running
	k.mu.Unlock()
	t := time.NewTimer(patience)
	defer t.Stop()
	select {
	case <-running:
	case <-t.C:
	case <-ctx.Done():
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.now
}

func (k *keeper) renew(ctx context.Context) {
	begun := time.Now()
	p := k.make(ctx)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.now, k.took = p, time.Since(begun)
	k.due = time.Now().Add(max(k.every, min(slowFactor*k.took, longestDue)))
	close(k.running)
	k.running = nil
}

// pictureFor gives the picture for a PDU: that of the request to which it belongs, or of the walk that it goes on
// with, or else a fresh one.
func (k *keeper) pictureFor(ctx context.Context, p *pdu) *picture {
	now := time.Now()
	for i := range k.queries {
		if q := &k.queries[i]; q.picture != nil && q.transaction == p.transaction && now.Sub(q.used) < traceLimit {
			return q.picture
		}
	}
	if p.kind != pduGet {
		if w := k.walk(p, now); w != nil {
			return w.picture
		}
	}
	return k.fresh(ctx, patience)
}

// walk finds the walk that p goes on with. Where two of them stand at one name in different pictures, AgentX has
// nothing to tell them apart by; then it is the one in the newest picture. A walk that ended there, as every walk of a
// subtree ends at the first name after it, so holds up nobody, and no counter goes back.
func (k *keeper) walk(p *pdu, now time.Time) *trace {
	var found *trace
	for i := range k.walks {
		w := &k.walks[i]
		if w.over(now) || !begins(p, w.at) {
			continue
		}
		if found == nil || w.picture.serial > found.picture.serial {
			found = w
		}
	}
	return found
}

// answered remembers how a PDU was answered.
func (k *keeper) answered(p *pdu, from *picture, vars []variable) {
	now := time.Now()
	note(k.queries[:], trace{transaction: p.transaction, picture: from, used: now}, func(t *trace) bool { return t.transaction == p.transaction })
	found := func(v variable) bool { return v.typ != endOfMIBView }
	at := slices.IndexFunc(vars, found)
	if p.kind == pduGet || at < 0 {
		return
	}
	if p.kind == pduGetBulk { // otherwise one search stands for all, since they move on together
		for at = len(vars) - 1; !found(vars[at]); at-- {
		}
	}
	t := trace{at: vars[at].name, picture: from, used: now}
	if w := k.walk(p, now); w != nil && w.picture == from {
		*w = t
		return
	}
	note(k.walks[:], t, func(*trace) bool { return false })
}

// tidy lets go of what nobody has gone on with, so that old pictures do not stay.
func (k *keeper) tidy(now time.Time) {
	for _, traces := range [][]trace{k.walks[:], k.queries[:]} {
		for i := range traces {
			if t := &traces[i]; t.picture != nil && t.over(now) {
				*t = trace{}
			}
		}
	}
}

// over tells a trace that is empty or too old to be gone on with.
func (t *trace) over(now time.Time) bool {
	return t.picture == nil || now.Sub(t.used) >= traceLimit || now.Sub(t.picture.made) > walkLimit
}

// note puts t in the place of the trace that it follows, or of the one that was not used for longest.
func note(traces []trace, t trace, followed func(*trace) bool) {
	place := &traces[0]
	for i := range traces {
		old := &traces[i]
		if old.picture != nil && followed(old) {
			place = old
			break
		}
		if old.used.Before(place.used) {
			place = old
		}
	}
	*place = t
}

// begins tells whether one of the searches of p begins at that name.
func begins(p *pdu, at oid) bool {
	return slices.ContainsFunc(p.ranges, func(r searchRange) bool { return slices.Equal(r.start, at) })
}

// forget lets go of everything that a master has asked, since the next one counts its transactions anew.
func (k *keeper) forget() {
	k.walks, k.queries = [maxWalks]trace{}, [maxQueries]trace{}
}
