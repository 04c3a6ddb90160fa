// One program that is every Kubernetes part of a node, and the scheduler that only nodes make necessary: the first argument
// names the part, the rest are its own flags.
//
// Apart from the control plane's program, so that who wants no pods neither compiles nor links a kubelet.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	"k8s.io/component-base/version"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

// parts maps a name to what runs it. Each one takes os.Args as a program of its own would find them.
var parts = map[string]func() int{
	"kubelet":        command(func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) }),
	"kube-proxy":     command(proxy.NewProxyCommand),
	"kube-scheduler": command(func() *cobra.Command { return scheduler.NewSchedulerCommand() }),
	"version": func() int {
		fmt.Println(version.Get().GitVersion)
		return 0
	},
}

// command adapts a constructor of a cobra command; the command reads os.Args itself.
func command(build func() *cobra.Command) func() int {
	return func() int { return cli.Run(build()) }
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
	os.Exit(parts[os.Args[0]]())
}
