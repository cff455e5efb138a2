// Kube is every Go program of the lab in one file: the control plane's own programs as Kubernetes and etcd publish them, the lab's
// node agent, and the workload `agnhost netexec`. One program is linked once, which is most of the time that building costs.
//
//	kube {etcd|apiserver|controller-manager|netexec} [flags]   the real programs, unchanged
//	kube agent [flags]                                         package agent: stands in for kubelet, scheduler and cloud
//	kube enter SPEC                                            package container: the inner half of a started container
//
// Started under the name `etcd` it is etcd, since that is how the command of a Pod calls it.
package main

import (
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	"k8s.io/kubernetes/test/images/agnhost/netexec"

	"engine.test/lab/kube/agent"
	"engine.test/lab/kube/container"
)

const usage = "usage: kube {etcd|apiserver|controller-manager|agent|netexec} [flags]"

// main gives the chosen program the arguments it would have if it were a file of its own.
func main() {
	if filepath.Base(os.Args[0]) == "etcd" {
		etcdmain.Main(os.Args)
		return
	}
	if len(os.Args) < 2 {
		fail(usage)
	}
	name := os.Args[1]
	os.Args = append([]string{name}, os.Args[2:]...)
	switch name {
	case "etcd":
		etcdmain.Main(os.Args)
	case "apiserver":
		run(apiserver.NewAPIServerCommand())
	case "controller-manager":
		run(controllermanager.NewControllerManagerCommand())
	case "netexec":
		run(netexec.CmdNetexec)
	case "agent":
		if err := agent.Main(os.Args[1:]); err != nil {
			log.Fatal("agent: ", err)
		}
	case container.EnterCommand:
		// Does not come back unless it fails: the process becomes the container's program.
		log.Fatal("enter: ", container.Enter(os.Args[1:]))
	default:
		fail(fmt.Sprintf("kube: no program %q\n%s", name, usage))
	}
}

func run(command *cobra.Command) {
	os.Exit(cli.Run(command))
}

func fail(text string) {
	fmt.Fprintln(os.Stderr, text)
	os.Exit(2)
}
