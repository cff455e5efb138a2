package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"sync"
	"sync/atomic"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"engine.test/lab/kube/container"
)

// balancer is what the agent does for a Service: an address for a load balancer, and a listener for each address and port that leads
// somewhere.
type balancer struct {
	since   time.Time
	address string // of the load balancer; empty unless the Service is one
	doors   map[entrance]*door
}

// entrance is where a door is.
type entrance struct {
	address string
	port    int32
}

// door is one port that is listened on.
type door struct {
	listener net.Listener
	targets  atomic.Pointer[[]target] // never empty: a door that leads nowhere is closed
	turn     atomic.Uint64
}

// target is a port of a Pod that really runs and is ready.
type target struct {
	container *container.Container
	port      int
}

// dialLimit is how long a client waits for a Pod that does not answer.
const dialLimit = 2 * time.Second

// service gives a load balancer its address, and opens and closes the doors of any Service.
func (a *agent) service(ctx context.Context, service *v1.Service, services []*v1.Service, pods []*v1.Pod) error {
	b := a.balancers[service.UID]
	if b == nil {
		b = &balancer{since: time.Now(), doors: map[entrance]*door{}}
		a.balancers[service.UID] = b
	}
	if service.DeletionTimestamp != nil {
		b.close()
		return nil
	}
	if err := a.assign(ctx, b, service, services); err != nil {
		return err
	}
	return b.lead(service, a.addresses(service), a.targets(service, pods))
}

// assign gives a load balancer its address after a while, and takes it from a Service that is none any more.
func (a *agent) assign(ctx context.Context, b *balancer, service *v1.Service, services []*v1.Service) (err error) {
	has := len(service.Status.LoadBalancer.Ingress) > 0
	if service.Spec.Type != v1.ServiceTypeLoadBalancer {
		b.address, b.since = "", time.Now()
		if has {
			return a.setIngress(ctx, service, nil)
		}
		return nil
	}
	if b.address == "" {
		if b.address, err = a.balancerAddress(service, services); err != nil {
			return err
		}
	}
	if has || time.Since(b.since) < a.balancerAfter {
		return nil
	}
	return a.setIngress(ctx, service, []v1.LoadBalancerIngress{{IP: b.address}})
}

// addresses are those on which the Service is to be found here.
func (a *agent) addresses(service *v1.Service) (found []string) {
	if service.Spec.Type == v1.ServiceTypeLoadBalancer {
		for _, ingress := range service.Status.LoadBalancer.Ingress {
			found = append(found, ingress.IP)
		}
	}
	if ip := service.Spec.ClusterIP; a.ownNetwork != "" && ip != "" && ip != v1.ClusterIPNone {
		found = append(found, ip)
	}
	return found
}

// balancerAddress is the one that the Service has from an agent that was here before, or the first that is free.
func (a *agent) balancerAddress(service *v1.Service, services []*v1.Service) (string, error) {
	if ingress := service.Status.LoadBalancer.Ingress; len(ingress) > 0 {
		return ingress[0].IP, nil
	}
	taken := map[string]bool{}
	for _, other := range services {
		for _, ingress := range other.Status.LoadBalancer.Ingress {
			taken[ingress.IP] = true
		}
	}
	for _, other := range a.balancers {
		taken[other.address] = true
	}
	return firstFree(a.balancerNet, 101, 250, taken)
}

func (a *agent) setIngress(ctx context.Context, service *v1.Service, ingress []v1.LoadBalancerIngress) error {
	want := service.DeepCopy()
	want.Status.LoadBalancer.Ingress = ingress
	_, err := a.client.CoreV1().Services(service.Namespace).UpdateStatus(ctx, want, metav1.UpdateOptions{})
	return unlessOvertaken(err)
}

// targets finds for each TCP port of the Service the Pods that really answer there.
func (a *agent) targets(service *v1.Service, pods []*v1.Pod) map[int32][]target {
	found := map[int32][]target{}
	if len(service.Spec.Selector) == 0 {
		return found
	}
	selector := labels.SelectorFromSet(service.Spec.Selector)
	for _, pod := range pods {
		h := a.held[pod.UID]
		if pod.Namespace != service.Namespace || h == nil || h.container == nil || pod.DeletionTimestamp != nil ||
			!(isReady(pod) || service.Spec.PublishNotReadyAddresses) || !selector.Matches(labels.Set(pod.Labels)) {
			continue
		}
		for _, port := range service.Spec.Ports {
			if port.Protocol == v1.ProtocolTCP {
				found[port.Port] = append(found[port.Port], target{h.container, portOf(pod, port.TargetPort)})
			}
		}
	}
	return found
}

func isReady(pod *v1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == v1.PodReady {
			return c.Status == v1.ConditionTrue
		}
	}
	return false
}

// lead makes the doors at some addresses lead to the targets of each port, and no others be open: where nobody would answer,
// connections are refused.
func (b *balancer) lead(service *v1.Service, addresses []string, targets map[int32][]target) error {
	wanted := map[entrance][]target{}
	for _, address := range addresses {
		for port, to := range targets {
			wanted[entrance{address, port}] = to
		}
	}
	for at, d := range b.doors {
		if len(wanted[at]) == 0 {
			d.close()
			delete(b.doors, at)
		}
	}
	var failed []error
	for at, to := range wanted {
		d := b.doors[at]
		if d == nil {
			listener, err := net.Listen("tcp4", net.JoinHostPort(at.address, fmt.Sprint(at.port)))
			if err != nil {
				failed = append(failed, err)
				continue
			}
			d = &door{listener: listener}
			b.doors[at] = d
			log.Printf("service %s/%s: listens on %s", service.Namespace, service.Name, listener.Addr())
			d.targets.Store(&to)
			go d.accept()
		}
		d.targets.Store(&to)
	}
	return errors.Join(failed...)
}

func (b *balancer) close() {
	for _, d := range b.doors {
		d.close()
	}
	b.doors = map[entrance]*door{}
}

func (d *door) close() {
	if err := d.listener.Close(); err != nil {
		log.Print("load balancer: ", err)
	}
}

// accept hands each connection to one of the targets in turn, until the door is closed.
func (d *door) accept() {
	for {
		client, err := d.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			log.Print("load balancer: ", err)
			time.Sleep(100 * time.Millisecond) // out of files, for one; it passes
			continue
		}
		go d.forward(client.(*net.TCPConn))
	}
}

func (d *door) forward(client *net.TCPConn) {
	defer client.Close()
	targets := *d.targets.Load()
	to := targets[int(d.turn.Add(1)%uint64(len(targets)))]
	ctx, cancel := context.WithTimeout(context.Background(), dialLimit)
	conn, err := to.container.Dial(ctx, to.port)
	cancel()
	if err != nil {
		log.Printf("load balancer %s: %v", d.listener.Addr(), err)
		return
	}
	defer conn.Close()
	pod := conn.(*net.TCPConn)
	var both sync.WaitGroup
	both.Add(2)
	go pour(&both, pod, client)
	go pour(&both, client, pod)
	both.Wait()
}

// pour copies until one side ends; the other side is told, and may go on talking.
func pour(both *sync.WaitGroup, to, from *net.TCPConn) {
	defer both.Done()
	if _, err := io.Copy(to, from); err != nil {
		// One side broke off: neither has anything to say to the other any more.
		to.Close()
		from.Close()
		return
	}
	_ = to.CloseWrite() // it may be gone already, which the other direction notices
}

// forgetServices closes what belongs to Services that are gone.
func (a *agent) forgetServices(services []*v1.Service) {
	left := map[types.UID]bool{}
	for _, service := range services {
		left[service.UID] = true
	}
	for uid, b := range a.balancers {
		if !left[uid] {
			b.close()
			delete(a.balancers, uid)
		}
	}
}
