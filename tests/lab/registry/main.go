// Registry is the CNCF distribution registry as it is published, with the one kind of storage and of sign-in that tests need. They talk
// to it with `engine step publish`, `engine step pull` and workflows that use what is there.
//
//	registry serve CONFIG.yml
package main

import (
	"log"

	"github.com/distribution/distribution/v3/registry"
	_ "github.com/distribution/distribution/v3/registry/auth/htpasswd"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem"
)

func main() {
	if err := registry.RootCmd.Execute(); err != nil {
		log.Fatal(err)
	}
}
