// Command doccheck fails if an exported name of the packages in the given directories has no comment, or if a file has
// more than 400 lines.
package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
)

const mostLines = 400

func main() {
	faults := 0
	for _, directory := range os.Args[1:] {
		found, err := check(directory)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		faults += found
	}
	if faults > 0 {
		os.Exit(1)
	}
}

// check prints the faults of the package in a directory, and returns their number.
func check(directory string) (int, error) {
	names, err := filepath.Glob(filepath.Join(directory, "*.go"))
	if err != nil {
		return 0, err
	}
	faults := 0
	report := func(at token.Position, fault string) {
		faults++
		fmt.Fprintf(os.Stderr, "%s:%d: %s\n", at.Filename, at.Line, fault)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		content, err := os.ReadFile(name)
		if err != nil {
			return 0, err
		}
		if lines := bytes.Count(content, []byte("\n")); lines > mostLines {
			report(token.Position{Filename: name, Line: lines}, fmt.Sprintf("more than %d lines", mostLines))
		}
		files := token.NewFileSet()
		parsed, err := parser.ParseFile(files, name, content, parser.ParseComments)
		if err != nil {
			return 0, err
		}
		for _, missing := range undocumented(parsed) {
			report(files.Position(missing.Pos()), missing.Name+" has no comment")
		}
	}
	return faults, nil
}

// undocumented returns the exported names of a file that have no comment.
func undocumented(file *ast.File) []*ast.Ident {
	var found []*ast.Ident
	add := func(documented bool, names ...*ast.Ident) {
		for _, name := range names {
			if name.IsExported() && !documented {
				found = append(found, name)
			}
		}
	}
	for _, declaration := range file.Decls {
		switch declaration := declaration.(type) {
		case *ast.FuncDecl:
			if declaration.Recv == nil || receiverIsExported(declaration.Recv) {
				add(declaration.Doc != nil, declaration.Name)
			}
		case *ast.GenDecl:
			for _, spec := range declaration.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					add(spec.Doc != nil || declaration.Doc != nil, spec.Name)
					if spec.Name.IsExported() {
						addFields(spec.Type, add)
					}
				case *ast.ValueSpec:
					// A comment of a group describes the group alone.
					add(spec.Doc != nil || declaration.Doc != nil && !declaration.Lparen.IsValid(), spec.Names...)
				}
			}
		}
	}
	return found
}

func addFields(kind ast.Expr, add func(bool, ...*ast.Ident)) {
	if structure, ok := kind.(*ast.StructType); ok {
		for _, field := range structure.Fields.List {
			add(field.Doc != nil, field.Names...)
		}
	}
}

func receiverIsExported(receiver *ast.FieldList) bool {
	kind := receiver.List[0].Type
	if pointer, ok := kind.(*ast.StarExpr); ok {
		kind = pointer.X
	}
	if generic, ok := kind.(*ast.IndexExpr); ok {
		kind = generic.X
	}
	name, ok := kind.(*ast.Ident)
	return ok && name.IsExported()
}
