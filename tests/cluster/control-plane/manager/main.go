// kube-controller-manager, beside the control plane: few tests need it, and the demo none of it.
package main

import (
	"os"

	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/metrics/prometheus/version"
	manager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
)

func main() {
	os.Exit(cli.Run(manager.NewControllerManagerCommand()))
}
