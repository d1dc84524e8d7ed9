package orchestration

import (
	"crypto/tls"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// clean removes the variables of the environment for one test.
func clean(t *testing.T) {
	t.Helper()
	for _, name := range []string{
		AddressVariable, TokenVariable, ProjectVariable, CAVariable, ClientCertVariable, ClientKeyVariable,
	} {
		t.Setenv(name, "")
	}
}

func TestArgumentsComeBeforeVariablesAndWithoutWhiteSpace(t *testing.T) {
	clean(t)
	t.Setenv(AddressVariable, " 127.0.0.1:1\n")
	t.Setenv(TokenVariable, "from-a-file\n")
	t.Setenv(ProjectVariable, "theirs")
	found := Settings{Project: "mine"}.withEnvironment()
	if found.Address != "127.0.0.1:1" || found.Token != "from-a-file" || found.Project != "mine" {
		t.Errorf("%+v", found)
	}
	if found.Timeout != DefaultTimeout || (Settings{Timeout: -1}).withEnvironment().Timeout != -1 {
		t.Error(found.Timeout)
	}
	clean(t)
	if found := (Settings{}).withEnvironment(); found.Address != DefaultAddress {
		t.Error(found.Address)
	}
}

func TestATokenIsNotSentToAnotherMachineInTheClear(t *testing.T) {
	clean(t)
	for address, allowed := range map[string]bool{"127.0.0.1:1": true, "localhost:1": true, "10.0.0.1:1": false, "ledger:1": false} {
		client, err := Open(Settings{Address: address, Token: "secret"})
		if allowed {
			if err != nil {
				t.Errorf("%s: %v", address, err)
			} else {
				_ = client.Close()
			}
			continue
		}
		if !errors.Is(err, ErrInvalid) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", address, err)
		}
	}
	client, err := Open(Settings{Address: "ledger:1", Token: "secret", TLS: &tls.Config{}})
	if err != nil {
		t.Fatal(err)
	}
	_ = client.Close()
}

func TestSettingsThatCannotBeRight(t *testing.T) {
	clean(t)
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, settings := range map[string]Settings{
		"a header in two lines":         {Agent: "a\r\nb: c"},
		"a header that is not ASCII":    {Session: "ß"},
		"a token in two lines":          {Token: "a\nb"},
		"a certificate without its key": {CAFile: SystemCA, ClientCert: empty},
		"a certificate without TLS":     {ClientCert: empty, ClientKey: empty},
		"an authority that is missing":  {CAFile: empty + ".none"},
		"an authority that is empty":    {CAFile: empty},
		"a certificate that is empty":   {CAFile: SystemCA, ClientCert: empty, ClientKey: empty},
		"a URL":                         {Address: "http://127.0.0.1:1"},
	} {
		if client, err := Open(settings); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v %v", name, client, err)
		}
	}
}
