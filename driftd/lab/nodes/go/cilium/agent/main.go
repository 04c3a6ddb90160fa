// The agent of Cilium's datapath, as `github.com/cilium/cilium/daemon` starts it.
package main

import (
	"github.com/cilium/cilium/daemon/cmd"
	"github.com/cilium/cilium/pkg/hive"
)

func main() {
	cmd.Execute(cmd.NewAgentCmd(hive.New(cmd.Agent)))
}
