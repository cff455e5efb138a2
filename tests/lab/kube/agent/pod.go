package agent

import (
	"context"
	"fmt"
	"log"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"engine.test/lab/kube/container"
)

// held is what the agent knows about a Pod besides the object.
type held struct {
	since     time.Time
	address   string
	home      string               // its directory, once it has really run
	container *container.Container // its present or last run; nil for a Pod that is only said to run
	restarts  int
	probe     probe
	volumes   map[string]string // the version of each Secret and ConfigMap that is on file
}

// gone stops the Pod's container and says whether nothing of the Pod is left.
func (h *held) gone(grace time.Duration) bool {
	if h.container == nil {
		return true
	}
	h.container.Stop(grace)
	if ended, _, _ := h.container.Ended(); !ended {
		return false
	}
	for _, err := range []error{h.container.Close(), os.RemoveAll(filepath.Join(h.home, "volumes"))} {
		if err != nil {
			log.Print("clear a pod away: ", err)
		}
	}
	return true
}

// pod brings one Pod one step nearer to what it should be.
func (a *agent) pod(ctx context.Context, pod *v1.Pod, all []*v1.Pod) error {
	switch {
	case pod.Spec.NodeName == "" && pod.DeletionTimestamp == nil:
		if a.waitsForClaim(pod) {
			return nil
		}
		return a.bind(ctx, pod)
	case pod.Spec.NodeName != a.node:
		return nil
	case pod.DeletionTimestamp != nil:
		return a.remove(ctx, pod)
	}
	h, err := a.hold(pod, all)
	if err != nil {
		return err
	}
	runs, program := a.program(pod)
	real := program != ""
	starts := h.container == nil && (real || pod.Status.Phase != v1.PodRunning)
	if missing := a.missing(pod); starts && len(missing) > 0 {
		return a.report(ctx, pod, waiting("ContainerCreating", "not found: "+strings.Join(missing, ", ")))
	}
	if !real {
		if time.Since(h.since) < a.readyAfter {
			return nil
		}
		return a.report(ctx, pod, running(h, true))
	}
	return a.reallyRun(ctx, pod, h, *runs, program)
}

// reallyRun starts the Pod's container, or starts it again, or asks it whether it is ready.
func (a *agent) reallyRun(ctx context.Context, pod *v1.Pod, h *held, runs v1.Container, program string) error {
	if h.container != nil {
		ended, exit, at := h.container.Ended()
		if !ended {
			if err := a.refreshVolumes(pod, h); err != nil {
				return err
			}
			return a.report(ctx, pod, running(h, h.probe.ready(pod, runs.ReadinessProbe, h.container)))
		}
		if time.Since(at) < backOff(h.restarts) {
			return a.report(ctx, pod, crashed(h, exit))
		}
		h.restarts++
		if err := h.container.Close(); err != nil {
			return err
		}
		h.container = nil
	}
	started, err := a.launch(pod, h, runs, program)
	if err != nil {
		return a.report(ctx, pod, waiting("CreateContainerError", err.Error()))
	}
	h.container, h.probe = started, probe{}
	log.Printf("pod %s/%s: process %d at %s", pod.Namespace, pod.Name, started.PID(), h.address)
	return a.report(ctx, pod, running(h, false))
}

// backOff is a tenth of what a kubelet waits, so that tests need not.
func backOff(restarts int) time.Duration {
	return min(time.Second<<min(restarts, 5), 30*time.Second)
}

// bind does the scheduler's work: there is only one place.
func (a *agent) bind(ctx context.Context, pod *v1.Pod) error {
	err := a.client.CoreV1().Pods(pod.Namespace).Bind(ctx, &v1.Binding{ObjectMeta: metav1.ObjectMeta{Name: pod.Name, UID: pod.UID},
		Target: v1.ObjectReference{Kind: "Node", Name: a.node}}, metav1.CreateOptions{})
	return unlessOvertaken(err)
}

// remove lets a Pod go that is to be deleted, after its container has ended.
func (a *agent) remove(ctx context.Context, pod *v1.Pod) error {
	if h := a.held[pod.UID]; h != nil {
		if !h.gone(time.Duration(*pod.DeletionGracePeriodSeconds) * time.Second) {
			return nil
		}
		delete(a.held, pod.UID)
	}
	now := int64(0)
	err := a.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name,
		metav1.DeleteOptions{GracePeriodSeconds: &now, Preconditions: &metav1.Preconditions{UID: &pod.UID}})
	return unlessOvertaken(err)
}

// unlessOvertaken drops the errors which say that the object seen here is not the newest: the next round sees the newer one.
func unlessOvertaken(err error) error {
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// hold finds what is known of the Pod; a Pod seen for the first time gets an address.
func (a *agent) hold(pod *v1.Pod, all []*v1.Pod) (*held, error) {
	if h := a.held[pod.UID]; h != nil {
		return h, nil
	}
	address := pod.Status.PodIP // from an agent that was here before
	if address == "" {
		taken := map[string]bool{}
		for _, other := range all {
			taken[other.Status.PodIP] = true
		}
		for _, other := range a.held {
			taken[other.address] = true
		}
		var err error
		if address, err = firstFree(a.podNet, 2, 254, taken); err != nil {
			return nil, err
		}
	}
	h := &held{since: time.Now(), address: address, volumes: map[string]string{}}
	a.held[pod.UID] = h
	return h, nil
}

// firstFree is the first address of a network that is not taken.
func firstFree(net string, from, to int, taken map[string]bool) (string, error) {
	for last := from; last <= to; last++ {
		if address := fmt.Sprintf("%s.%d", net, last); !taken[address] {
			return address, nil
		}
	}
	return "", fmt.Errorf("all addresses from %s.%d to .%d are taken", net, from, to)
}

// program finds the container of a Pod that has a program here. Other containers beside it are only said to run; there are never two
// that really do, since they would have to share a network, which nothing has asked for yet.
func (a *agent) program(pod *v1.Pod) (runs *v1.Container, program string) {
	if len(pod.Spec.InitContainers) > 0 {
		return nil, ""
	}
	for i, c := range pod.Spec.Containers {
		found := a.programOf(c)
		if found != "" && program != "" {
			return nil, ""
		}
		if found != "" {
			runs, program = &pod.Spec.Containers[i], found
		}
	}
	return runs, program
}

func (a *agent) programOf(c v1.Container) string {
	name := imageName(c.Image)
	if len(c.Command) > 0 {
		name = path.Base(c.Command[0])
	}
	if program, known := a.run[name]; known {
		return program
	}
	if words := commandLine(c); len(words) > 0 {
		return a.run[name+"/"+words[0]]
	}
	return ""
}

// imageName is the last part of an image's name: `agnhost` of `registry.k8s.io/e2e-test-images/agnhost:2.56`.
func imageName(image string) string {
	name, _, _ := strings.Cut(path.Base(image), "@")
	name, _, _ = strings.Cut(name, ":")
	return name
}

// commandLine is what follows the program's name.
func commandLine(c v1.Container) []string {
	if len(c.Command) > 1 {
		return append(append([]string{}, c.Command[1:]...), c.Args...)
	}
	return c.Args
}
