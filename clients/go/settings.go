package orchestration

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// DefaultAddress is the address of a ledger on this machine.
const DefaultAddress = "127.0.0.1:20051"

// DefaultTimeout is the deadline of a unary call whose context has none.
const DefaultTimeout = 10 * time.Second

// Variables of the environment that [Settings] are read from where a field is empty.
const (
	// AddressVariable has the address.
	AddressVariable = "ORCHESTRATION_ADDRESS"
	// TokenVariable has the key or token.
	TokenVariable = "ORCHESTRATION_TOKEN"
	// ProjectVariable has the project.
	ProjectVariable = "ORCHESTRATION_PROJECT"
	// CAVariable has the file of the authorities, or [SystemCA].
	CAVariable = "ORCHESTRATION_CA_FILE"
	// ClientCertVariable has the file of the client's own certificate.
	ClientCertVariable = "ORCHESTRATION_CLIENT_CERT"
	// ClientKeyVariable has the file of the key of that certificate.
	ClientKeyVariable = "ORCHESTRATION_CLIENT_KEY"
)

// SystemCA in place of a file means the authorities that the system trusts.
const SystemCA = "system"

// Settings are the settings of a [Client]. The zero value is that of the environment.
type Settings struct {
	// Address is HOST:PORT, or another name that gRPC resolves. By default that of ORCHESTRATION_ADDRESS, else
	// DefaultAddress.
	Address string
	// Token is a key or a JWT, by default that of ORCHESTRATION_TOKEN. It is never sent to another machine without TLS.
	Token string
	// Project is the project of the calls, by default that of ORCHESTRATION_PROJECT, else that of the key.
	Project string
	// Agent is the name of the calling agent.
	Agent string
	// Session is the key of the session to which the calls belong.
	Session string
	// CorrelationID is an id that the events of all calls carry.
	CorrelationID string
	// CAFile is a PEM file of the authorities that sign the server's certificate, or SystemCA. By default that of
	// ORCHESTRATION_CA_FILE. Without it, and without TLS, nothing is encrypted.
	CAFile string
	// ClientCert is the PEM file of the client's own certificate, by default that of ORCHESTRATION_CLIENT_CERT.
	ClientCert string
	// ClientKey is the PEM file of the key of ClientCert, by default that of ORCHESTRATION_CLIENT_KEY.
	ClientKey string
	// TLS is the configuration of TLS, in place of CAFile, ClientCert and ClientKey.
	TLS *tls.Config
	// Timeout is the deadline of unary calls whose context has none. DefaultTimeout if it is 0, none if it is negative.
	Timeout time.Duration
	// Logger gets warnings of broken streams and failed heartbeats. By default slog.Default().
	Logger *slog.Logger
	// DialOptions override the client's own, for example to add the interceptors of a tracer.
	DialOptions []grpc.DialOption
}

// withEnvironment returns the settings with the variables of the environment where they have none.
func (s Settings) withEnvironment() Settings {
	s.Address = first(s.Address, os.Getenv(AddressVariable), DefaultAddress)
	s.Token = first(s.Token, os.Getenv(TokenVariable))
	s.Project = first(s.Project, os.Getenv(ProjectVariable))
	if s.TLS == nil {
		s.CAFile = first(s.CAFile, os.Getenv(CAVariable))
		s.ClientCert = first(s.ClientCert, os.Getenv(ClientCertVariable))
		s.ClientKey = first(s.ClientKey, os.Getenv(ClientKeyVariable))
	}
	if s.Timeout == 0 {
		s.Timeout = DefaultTimeout
	}
	if s.Logger == nil {
		s.Logger = slog.Default()
	}
	return s
}

// first returns the first value that is more than white space, without the white space around it, such as the newline of
// a file.
func first(values ...string) string {
	for _, value := range values {
		if value = strings.TrimSpace(value); value != "" {
			return value
		}
	}
	return ""
}

// metadata returns the metadata of every call.
func (s Settings) metadata() ([][2]string, error) {
	pairs := [][2]string{
		{"orchestration-project", s.Project},
		{"orchestration-agent", s.Agent},
		{"orchestration-session", s.Session},
		{"orchestration-correlation-id", s.CorrelationID},
	}
	if s.Token != "" {
		pairs = append(pairs, [2]string{"authorization", "Bearer " + s.Token})
	}
	var filled [][2]string
	for _, pair := range pairs {
		if strings.IndexFunc(pair[1], func(r rune) bool { return r < ' ' || r > '~' }) >= 0 {
			return nil, invalid("%s may have only printable ASCII characters", pair[0])
		}
		if pair[1] != "" {
			filled = append(filled, pair)
		}
	}
	return filled, nil
}

// credentials returns the credentials of the transport, and whether they encrypt.
func (s Settings) credentials() (credentials.TransportCredentials, bool, error) {
	config, err := s.tlsConfig()
	if err != nil {
		return nil, false, err
	}
	if config == nil {
		return insecure.NewCredentials(), false, nil
	}
	return credentials.NewTLS(config), true, nil
}

// tlsConfig returns the configuration of TLS, or nil if nothing is encrypted.
func (s Settings) tlsConfig() (*tls.Config, error) {
	if s.TLS != nil {
		return s.TLS, nil
	}
	if (s.ClientCert == "") != (s.ClientKey == "") {
		return nil, invalid("%s and %s belong together: set both", ClientCertVariable, ClientKeyVariable)
	}
	if s.CAFile == "" {
		if s.ClientCert != "" {
			return nil, invalid("%s needs TLS: name the authorities in %s", ClientCertVariable, CAVariable)
		}
		return nil, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if s.CAFile != SystemCA {
		authorities, err := read(s.CAFile, CAVariable)
		if err != nil {
			return nil, err
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(authorities) {
			return nil, invalid("%s, the file in %s, has no certificate", s.CAFile, CAVariable)
		}
	}
	if s.ClientCert != "" {
		own, err := s.clientCertificate()
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{own}
	}
	return config, nil
}

func (s Settings) clientCertificate() (tls.Certificate, error) {
	cert, err := read(s.ClientCert, ClientCertVariable)
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := read(s.ClientKey, ClientKeyVariable)
	if err != nil {
		return tls.Certificate{}, err
	}
	own, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return tls.Certificate{}, invalid("%s and %s: %v", ClientCertVariable, ClientKeyVariable, err)
	}
	return own, nil
}

func read(file, variable string) ([]byte, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		var path *fs.PathError
		if errors.As(err, &path) {
			err = path.Err
		}
		return nil, invalid("cannot read %s, the file in %s: %v", file, variable, err)
	}
	return content, nil
}

// checkSecret returns an error if a token would go to another machine unencrypted.
func (s Settings) checkSecret(at address, encrypted bool) error {
	if s.Token == "" || encrypted || at.onLoopback() {
		return nil
	}
	return invalid("a token would go to %s in the clear: set %s to the certificate of the server or of its authority "+
		"(%q for the authorities of the system), or set TLS", at.text, CAVariable, SystemCA)
}
