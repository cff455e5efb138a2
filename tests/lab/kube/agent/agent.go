// Package agent stands in for what a control plane without machines lacks: the scheduler, the kubelet, and the cloud that gives load
// balancers their addresses. One agent serves one cluster.
//
//	agent.go     options, and the loop that looks at every Pod and every Service
//	node.go      the one Node
//	pod.go       what is done with a Pod: bind, wait, run, restart, delete
//	volumes.go   the Secrets and ConfigMaps of a Pod: are they there, and as files
//	claims.go    volumes that outlive their Pods
//	launch.go    a Pod's container, from its spec
//	probe.go     readiness of a Pod that really runs
//	status.go    what is written into a Pod's status
//	balancer.go  addresses of load balancers, and what arrives there and at the cluster's own addresses of Services
//	resolver.go  names of Services, for the Pods
//
// An agent with a network of its own (--own-network) links its Pods to it: they have a way out, Services have addresses inside of the
// cluster, and names are resolved. Without one, what really runs can be reached and reaches nothing.
//
// A Pod whose image has a program here (--run) becomes a real process, see package container. Every other Pod is only said to run:
// it becomes ready after a moment, and a load balancer in front of it refuses connections.
package agent

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

type options struct {
	kubeconfig    string
	node          string
	dir           string
	podNet        string
	balancerNet   string
	readyAfter    time.Duration
	balancerAfter time.Duration
	run           map[string]string
	ownNetwork    string
	resolver      string
	upstream      string
}

type agent struct {
	options
	client   kubernetes.Interface
	pods     listers.PodLister
	services listers.ServiceLister
	secrets  listers.SecretLister
	configs  listers.ConfigMapLister
	claims   listers.PersistentVolumeClaimLister
	wake     chan struct{}

	held       map[types.UID]*held
	balancers  map[types.UID]*balancer
	complaints map[string]string // what was said last of each object that something is wrong with
}

const (
	// How often the agent looks when nothing has changed: probes and delays are measured in this.
	roundEvery = 200 * time.Millisecond
	// An API server that hangs must not stop the agent for longer; the next round tries again.
	roundLimit = 5 * time.Second
	// How long containers have to end when the agent ends.
	endGrace = 3 * time.Second
)

// Main runs an agent until SIGTERM or SIGINT, and ends its containers before it returns.
func Main(args []string) error {
	given, err := parse(args)
	if err != nil {
		return err
	}
	config, err := clientcmd.BuildConfigFromFlags("", given.kubeconfig)
	if err != nil {
		return err
	}
	config.QPS, config.Burst = 500, 1000
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	a := &agent{options: given, client: client, wake: make(chan struct{}, 1),
		held: map[types.UID]*held{}, balancers: map[types.UID]*balancer{}, complaints: map[string]string{}}
	if err := a.watch(ctx); err != nil {
		return err
	}
	if a.ownNetwork != "" {
		socket, err := net.ListenPacket("udp4", net.JoinHostPort(a.resolver, "53"))
		if err != nil {
			return err
		}
		defer socket.Close()
		go a.resolve(socket)
	}
	if err := a.register(ctx); err != nil {
		return err
	}
	defer a.end()
	tick := time.NewTicker(roundEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-a.wake:
		case <-tick.C:
		}
		a.round(ctx)
	}
}

func parse(args []string) (options, error) {
	o := options{run: map[string]string{}}
	flags := flag.NewFlagSet("agent", flag.ContinueOnError)
	flags.StringVar(&o.kubeconfig, "kubeconfig", os.Getenv("KUBECONFIG"), "path of a kubeconfig of an administrator")
	flags.StringVar(&o.node, "node", "node-1", "name of the Node")
	flags.StringVar(&o.dir, "dir", "pods", "directory for files and logs of the Pods that really run")
	flags.StringVar(&o.podNet, "pod-net", "10.244.0", "first three parts of Pod addresses; a loopback address can not be an endpoint")
	flags.StringVar(&o.balancerNet, "load-balancer-net", "127.0.1", "first three parts of load balancer addresses, from .101 on")
	flags.DurationVar(&o.readyAfter, "ready-after", 300*time.Millisecond, "until a Pod that is only said to run is ready")
	flags.DurationVar(&o.balancerAfter, "load-balancer-after", 500*time.Millisecond, "until a load balancer has its address")
	flags.StringVar(&o.ownNetwork, "own-network", "", "address that the agent speaks from in a network of its own, where Services' addresses are local")
	flags.StringVar(&o.resolver, "resolver", "", "with a network of its own: address on which Pods are told names")
	flags.StringVar(&o.upstream, "upstream", "", "with a network of its own: address and port of the server for names that are not the cluster's")
	flags.Func("run", "IMAGE[/ARGUMENT]=PROGRAM: really run Pods of this image (its last part, without tag) with this first argument", func(s string) error {
		image, program, ok := strings.Cut(s, "=")
		if !ok || image == "" || program == "" {
			return errors.New("expects IMAGE[/ARGUMENT]=PROGRAM")
		}
		o.run[image] = program
		return nil
	})
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("argument %q is not understood", flags.Arg(0))
	}
	var err error
	o.dir, err = filepath.Abs(o.dir)
	return o, err
}

// watch keeps Pods, Services, Secrets, ConfigMaps and claims at hand, and wakes the loop when one changes.
func (a *agent) watch(ctx context.Context) error {
	factory := informers.NewSharedInformerFactory(a.client, 0)
	core := factory.Core().V1()
	a.pods, a.services, a.secrets, a.configs = core.Pods().Lister(), core.Services().Lister(), core.Secrets().Lister(), core.ConfigMaps().Lister()
	a.claims = core.PersistentVolumeClaims().Lister()
	changed := cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { a.poke() },
		UpdateFunc: func(any, any) { a.poke() },
		DeleteFunc: func(any) { a.poke() },
	}
	for _, informer := range []cache.SharedIndexInformer{core.Pods().Informer(), core.Services().Informer(), core.Secrets().Informer(),
		core.ConfigMaps().Informer(), core.PersistentVolumeClaims().Informer()} {
		if _, err := informer.AddEventHandler(changed); err != nil {
			return err
		}
	}
	factory.Start(ctx.Done())
	for kind, synced := range factory.WaitForCacheSync(ctx.Done()) {
		if !synced {
			return fmt.Errorf("ended before all %v were read", kind)
		}
	}
	return nil
}

// poke wakes the loop; it may be called from any goroutine.
func (a *agent) poke() {
	select {
	case a.wake <- struct{}{}:
	default: // it is going to wake already
	}
}

// round looks at everything once. What fails is said and tried again in the next round.
func (a *agent) round(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, roundLimit)
	defer cancel()
	a.claimsRound(ctx)
	pods, err := a.pods.List(labels.Everything())
	if err != nil {
		log.Print("list pods: ", err)
		return
	}
	services, err := a.services.List(labels.Everything())
	if err != nil {
		log.Print("list services: ", err)
		return
	}
	sort.Slice(pods, func(i, j int) bool { return pods[i].CreationTimestamp.Before(&pods[j].CreationTimestamp) })
	for _, pod := range pods {
		a.complain("pod "+pod.Namespace+"/"+pod.Name, a.pod(ctx, pod, pods))
	}
	a.forgetPods(pods)
	for _, service := range services {
		a.complain("service "+service.Namespace+"/"+service.Name, a.service(ctx, service, services, pods))
	}
	a.forgetServices(services)
}

// complain says what is wrong with an object, once for each thing that is: rounds come several times a second.
func (a *agent) complain(about string, err error) {
	if err == nil {
		delete(a.complaints, about)
	} else if said := err.Error(); a.complaints[about] != said {
		a.complaints[about] = said
		log.Printf("%s: %s", about, said)
	}
}

// end ends every container, by force after the grace period.
func (a *agent) end() {
	for {
		alive := 0
		for _, h := range a.held {
			if c := h.container; c != nil {
				c.Stop(endGrace)
				if ended, _, _ := c.Ended(); !ended {
					alive++
				}
			}
		}
		if alive == 0 {
			return
		}
		select {
		case <-a.wake: // a container has ended, or an object changed
		case <-time.After(roundEvery):
		}
	}
}

// forgetPods ends what belongs to Pods that were removed without asking the agent.
func (a *agent) forgetPods(pods []*v1.Pod) {
	left := map[types.UID]bool{}
	for _, pod := range pods {
		left[pod.UID] = true
	}
	for uid, h := range a.held {
		if !left[uid] && h.gone(0) {
			delete(a.held, uid)
		}
	}
}
