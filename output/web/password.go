package web

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// The cost of a hash: the second recommendation of RFC 9106, section 4, with less memory for small machines.
const (
	hashTime    = 3
	hashMemory  = 64 << 10 // KiB
	hashThreads = 2
	saltSize    = 16
	keySize     = 32
)

// Bounds on what a hash of the configuration may ask for.
const (
	maxHashTime   = 16
	maxHashMemory = 1 << 20 // KiB, 1 GiB
	maxKeySize    = 64
	maxPassword   = 1024
	minPassword   = 8
)

// hash is a password's hash with what it was made with.
type hash struct {
	time, memory uint32
	threads      uint8
	salt, key    []byte
}

// HashPassword makes the hash of a password, in the usual form of argon2: $argon2id$v=19$m=...,t=...,p=...$salt$key.
func HashPassword(password string) (string, error) {
	if len(password) < minPassword || len(password) > maxPassword {
		return "", fmt.Errorf("a password has %d to %d bytes", minPassword, maxPassword)
	}
	h := hash{time: hashTime, memory: hashMemory, threads: hashThreads, salt: make([]byte, saltSize)}
	_, _ = rand.Read(h.salt) // it never fails
	h.key = h.derive(password, keySize)
	b64 := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.memory, h.time, h.threads, b64(h.salt), b64(h.key)), nil
}

func (h *hash) derive(password string, size uint32) []byte {
	return argon2.IDKey([]byte(password), h.salt, h.time, h.memory, h.threads, size)
}

// is tells whether the password is the one; it takes as long for a wrong one.
func (h *hash) is(password string) bool {
	return subtle.ConstantTimeCompare(h.key, h.derive(password, uint32(len(h.key)))) == 1
}

var errHash = errors.New("hash is not of the form $argon2id$v=19$m=65536,t=3,p=2$salt$key")

// parseHash reads what HashPassword writes, also with other costs.
func parseHash(text string) (hash, error) {
	var h hash
	var version int
	parts := strings.Split(text, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" {
		return h, errHash
	}
	if _, err := fmt.Sscanf(parts[2]+" "+parts[3], "v=%d m=%d,t=%d,p=%d", &version, &h.memory, &h.time, &h.threads); err != nil || version != argon2.Version {
		return h, errHash
	}
	var err, err2 error
	h.salt, err = base64.RawStdEncoding.DecodeString(parts[4])
	h.key, err2 = base64.RawStdEncoding.DecodeString(parts[5])
	switch {
	case err != nil || err2 != nil || len(h.salt) < 8 || len(h.salt) > maxKeySize || len(h.key) < saltSize || len(h.key) > maxKeySize:
		return h, errHash
	case h.time < 1 || h.time > maxHashTime || h.threads < 1 || h.memory < 8*uint32(h.threads) || h.memory > maxHashMemory:
		return h, fmt.Errorf("hash asks for m=%d,t=%d,p=%d: use at most m=%d,t=%d", h.memory, h.time, h.threads, maxHashMemory, maxHashTime)
	}
	return h, nil
}
