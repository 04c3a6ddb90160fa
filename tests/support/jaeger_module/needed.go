//go:build needed

// Package needed names what is built from this module, so that `go mod tidy` keeps its requirements.
package needed

import _ "github.com/jaegertracing/jaeger/cmd/all-in-one"
