// Command modzip publishes a module to a proxy of files: modzip DIRECTORY MODULE VERSION PROXY.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"
)

func main() {
	if len(os.Args) != 5 {
		fmt.Fprintln(os.Stderr, "usage: modzip DIRECTORY MODULE VERSION PROXY")
		os.Exit(2)
	}
	version := module.Version{Path: os.Args[2], Version: os.Args[3]}
	if err := publish(os.Args[1], version, os.Args[4]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// publish writes the files that a proxy serves for one version of a module.
func publish(directory string, version module.Version, proxy string) error {
	path, err := module.EscapePath(version.Path)
	if err != nil {
		return err
	}
	versions := filepath.Join(proxy, filepath.FromSlash(path), "@v")
	if err := os.MkdirAll(versions, 0o755); err != nil {
		return err
	}
	mod, err := os.ReadFile(filepath.Join(directory, "go.mod"))
	if err != nil {
		return err
	}
	for name, content := range map[string][]byte{
		"list":                    []byte(version.Version + "\n"),
		version.Version + ".mod":  mod,
		version.Version + ".info": fmt.Appendf(nil, "{\"Version\":%q}\n", version.Version),
	} {
		if err := os.WriteFile(filepath.Join(versions, name), content, 0o644); err != nil {
			return err
		}
	}
	packed, err := os.Create(filepath.Join(versions, version.Version+".zip"))
	if err != nil {
		return err
	}
	defer packed.Close()
	if err := zip.CreateFromDir(packed, version, directory); err != nil {
		return err
	}
	return packed.Close()
}
