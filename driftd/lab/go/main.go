// One program that is every part of a small control plane: the first argument names the part, the rest are its own flags.
//
// The parts share most of their code, so one binary links once, is a third of their sum, and has one version.
// Parts that exist on Linux only register themselves in files with a build tag, so that this one builds elsewhere too.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	"k8s.io/component-base/version"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
)

// parts maps a name to what runs it. Each one takes os.Args as a program of its own would find them.
var parts = map[string]func(args []string) int{
	"etcd": func(args []string) int {
		etcdmain.Main(args)
		return 0
	},
	"kube-apiserver":          command(apiserver.NewAPIServerCommand),
	"kube-controller-manager": command(controllermanager.NewControllerManagerCommand),
	"version": func([]string) int {
		fmt.Println(version.Get().GitVersion)
		return 0
	},
}

// command adapts a constructor of a cobra command; the command reads os.Args itself.
func command(build func() *cobra.Command) func([]string) int {
	return func([]string) int { return cli.Run(build()) }
}

func main() {
	if len(os.Args) < 2 || parts[os.Args[1]] == nil {
		names := make([]string, 0, len(parts))
		for name := range parts {
			names = append(names, name)
		}
		sort.Strings(names)
		fmt.Fprintf(os.Stderr, "usage: %s PART [FLAG...]\nparts: %s\n", filepath.Base(os.Args[0]), strings.Join(names, " "))
		os.Exit(2)
	}
	os.Args = os.Args[1:]
	os.Exit(parts[os.Args[0]](os.Args))
}
