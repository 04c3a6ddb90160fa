// The CNI plug-in that wires a pod up to Cilium's datapath, as `github.com/cilium/cilium/plugins/cilium-cni` starts it.
package main

import (
	"runtime"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/version"

	"github.com/cilium/cilium/plugins/cilium-cni/cmd"
)

func init() {
	// A plug-in moves between network namespaces, which belong to threads.
	runtime.LockOSThread()
}

func main() {
	plugin := cmd.NewCmd()
	skel.PluginMain(plugin.Add, plugin.Check, plugin.Del,
		version.PluginSupports("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0"), "Cilium CNI plug-in")
}
