package syslog

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// keyPair is the certificate, read again when its file changes: those of today live for weeks, varde for months.
type keyPair struct {
	cert, key string
	mu        sync.Mutex
	changed   time.Time
	pair      *tls.Certificate
}

// get is the certificate for a handshake. A file that cannot be read leaves the old one in place.
func (k *keyPair) get(complain func(string, ...any)) (*tls.Certificate, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	st, err := os.Stat(k.cert)
	if err == nil && k.pair != nil && st.ModTime().Equal(k.changed) {
		return k.pair, nil
	}
	var pair tls.Certificate
	if err == nil {
		pair, err = tls.LoadX509KeyPair(k.cert, k.key)
	}
	switch {
	case err == nil:
		k.pair, k.changed = &pair, st.ModTime()
	case k.pair == nil:
		return nil, fmt.Errorf("read certificate %s with key %s: %w", k.cert, k.key, err)
	default:
		complain("the new certificate for syslog cannot be used; the old one stays", "cert", k.cert, "key", k.key, "err", err)
	}
	return k.pair, nil
}

// secure is what the configuration says of TLS. RFC 5425 asks for certificates on both sides; ours is needed, the
// sender's where client_ca_file says so.
func (s *Server) secure() (*tls.Config, error) {
	k := &keyPair{cert: s.cfg.Cert, key: s.cfg.Key}
	if _, err := k.get(nil); err != nil {
		return nil, err
	}
	c := &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return k.get(s.complain) },
	}
	if s.cfg.ClientCA == "" {
		return c, nil
	}
	pem, err := os.ReadFile(s.cfg.ClientCA)
	if err != nil {
		return nil, fmt.Errorf("read client_ca_file: %w", err)
	}
	c.ClientCAs, c.ClientAuth = x509.NewCertPool(), tls.RequireAndVerifyClientCert
	if !c.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("read client_ca_file %s: %w", s.cfg.ClientCA, errors.New("it holds no certificate in PEM"))
	}
	return c, nil
}
