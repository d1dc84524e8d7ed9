package orchestration

import (
	"errors"
	"strings"
	"testing"
)

func TestAddressesAtWhichAServerMayBe(t *testing.T) {
	for text, loopback := range map[string]bool{
		"127.0.0.1:20051": true, "localhost": true, "localhost:1": true, "[::1]:20051": true, "::1": true,
		"dns:///localhost:5": true, "unix:/run/ledger.sock": true, "unix-abstract:ledger": true,
		"ipv4:127.0.0.1:5,127.0.0.2:6": true, "ipv6:[::1]:5": true,
		"ledger.example:20051": false, "ledger_1:80": false, "10.0.0.1:1": false, "[2001:db8::1]:443": false,
		"dns://10.0.0.53/ledger.example:1": false, "ipv4:127.0.0.1:5,10.0.0.1:6": false, "ledger.example.": false,
		"localhost.example:1": false, "127.0.0.1.example:1": false, "passthrough:///127.0.0.1:1": false,
	} {
		parsed, err := parseAddress(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		} else if parsed.onLoopback() != loopback {
			t.Errorf("%s: on loopback is %v", text, !loopback)
		}
	}
}

func TestAddressesAtWhichNoServerCanBe(t *testing.T) {
	for _, text := range []string{
		"http://ledger:1", "https://user:secret@ledger", "ledger:0", "ledger:65536", "ledger:x", "ledger:+1", "led ger:1",
		"-ledger:1", "ledger..example:1", "a:1,b:2", ":20051", "ledger:", "ipv4:127.0.0.1:0",
		strings.Repeat("a.", 130) + ":1",
	} {
		_, err := parseAddress(text)
		if !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", text, err)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("the error shows a password: %v", err)
		}
	}
}

func TestNamesThatOnlyOtherLanguagesResolve(t *testing.T) {
	parsed, err := parseAddress("ipv4:10.0.0.1:5,10.0.0.2")
	if err != nil {
		t.Fatal(err)
	}
	target, names := parsed.target()
	if target != "ipv4:///10.0.0.1:5" || names == nil || names.Scheme() != "ipv4" {
		t.Errorf("%s %v", target, names)
	}
	if at := withPort("10.0.0.2"); at != "10.0.0.2:443" {
		t.Error(at)
	}
	if at := withPort("::1"); at != "[::1]:443" {
		t.Error(at)
	}
}
