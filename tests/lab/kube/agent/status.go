package agent

import (
	"context"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// condition is what the agent has to say about a Pod.
type condition struct {
	phase    v1.PodPhase
	address  string
	ready    bool
	restarts int
	reason   string // why the containers do not run; empty if they do
	message  string
}

func waiting(reason, message string) condition {
	return condition{phase: v1.PodPending, reason: reason, message: message}
}

func running(h *held, ready bool) condition {
	return condition{phase: v1.PodRunning, address: h.address, ready: ready, restarts: h.restarts}
}

func crashed(h *held, exit string) condition {
	return condition{phase: v1.PodRunning, address: h.address, restarts: h.restarts, reason: "CrashLoopBackOff", message: exit}
}

// report writes the Pod's status where it differs from what is there.
func (a *agent) report(ctx context.Context, pod *v1.Pod, said condition) error {
	want := pod.DeepCopy()
	status := &want.Status
	status.Phase = said.phase
	if said.address != "" {
		status.PodIP, status.PodIPs = said.address, []v1.PodIP{{IP: said.address}}
	}
	if status.StartTime == nil {
		now := metav1.Now()
		status.StartTime = &now
	}
	setCondition(status, v1.PodScheduled, true)
	setCondition(status, v1.PodInitialized, true)
	setCondition(status, v1.ContainersReady, said.ready)
	setCondition(status, v1.PodReady, said.ready)
	status.ContainerStatuses = nil
	for _, c := range pod.Spec.Containers {
		started := said.reason == ""
		state := v1.ContainerState{Running: &v1.ContainerStateRunning{StartedAt: *status.StartTime}}
		if !started {
			state = v1.ContainerState{Waiting: &v1.ContainerStateWaiting{Reason: said.reason, Message: said.message}}
		}
		status.ContainerStatuses = append(status.ContainerStatuses, v1.ContainerStatus{Name: c.Name, Image: c.Image, ImageID: c.Image,
			Ready: said.ready, Started: &started, RestartCount: int32(said.restarts), State: state})
	}
	if equality.Semantic.DeepEqual(pod.Status, *status) {
		return nil
	}
	_, err := a.client.CoreV1().Pods(pod.Namespace).UpdateStatus(ctx, want, metav1.UpdateOptions{})
	return unlessOvertaken(err)
}

func setCondition(status *v1.PodStatus, kind v1.PodConditionType, truth bool) {
	value := v1.ConditionFalse
	if truth {
		value = v1.ConditionTrue
	}
	for i := range status.Conditions {
		if c := &status.Conditions[i]; c.Type == kind {
			if c.Status != value {
				c.Status, c.LastTransitionTime = value, metav1.Now()
			}
			return
		}
	}
	status.Conditions = append(status.Conditions, v1.PodCondition{Type: kind, Status: value, LastTransitionTime: metav1.Now()})
}
