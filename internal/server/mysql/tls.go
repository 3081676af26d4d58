package mysql

import (
	"crypto/tls"
	"crypto/x509"
	"os"

	"github.com/stemmadb/stemma/internal/errs"
)

// LoadTLS makes the configuration of a server from files of PEM: its certificate, with the chain behind it, and the key. Without
// either it is nil.
func LoadTLS(certFile, keyFile string) (*tls.Config, error) {
	switch {
	case certFile == "" && keyFile == "":
		return nil, nil
	case certFile == "":
		return nil, errs.New(errs.Invalid, "a TLS key needs its certificate: give --tls-cert")
	case keyFile == "":
		return nil, errs.New(errs.Invalid, "a TLS certificate needs its key: give --tls-key")
	}
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, errs.New(errs.Invalid, "read TLS certificate %s and key %s: %w", certFile, keyFile, err)
	}
	return &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}, nil
}

// VerifyClients makes a server of that configuration look at the certificates of its clients: one that a client shows must be signed by
// an authority of the file, PEM; "" are those of the system. With require every client has to show one.
func VerifyClients(cfg *tls.Config, authorities string, require bool) error {
	if authorities == "" && !require {
		return nil
	}
	if cfg == nil {
		return errs.New(errs.Invalid, "to look at certificates of clients, a server needs one itself: give tls_cert and tls_key")
	}
	cfg.ClientAuth = tls.VerifyClientCertIfGiven
	if require {
		cfg.ClientAuth = tls.RequireAndVerifyClientCert
	}
	if authorities == "" {
		return nil
	}
	data, err := os.ReadFile(authorities)
	if err != nil {
		return errs.New(errs.NotFound, "read certificates of authorities: %w", err)
	}
	cfg.ClientCAs = x509.NewCertPool()
	if !cfg.ClientCAs.AppendCertsFromPEM(data) {
		return errs.New(errs.Invalid, "%s has no certificates in PEM", authorities)
	}
	return nil
}
