// Command stemma is a version-controlled SQL database. Called by the name dolt it speaks as Dolt does.
package main

import (
	"os"

	"github.com/stemmadb/stemma/internal/boot"
	"github.com/stemmadb/stemma/internal/cli"
	"github.com/stemmadb/stemma/internal/op"
)

// version is the release; the linker sets it (-X main.version=…).
var version = "0.1.0"

func main() {
	boot.Done()
	os.Exit(cli.Main(&cli.Program{Version: version, Specs: op.All()}))
}
