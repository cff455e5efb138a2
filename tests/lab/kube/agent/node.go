package agent

import (
	"context"
	"log"
	"runtime"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// register makes the Node ready, and tries until it is or until the agent is to end.
func (a *agent) register(ctx context.Context) error {
	for {
		err := a.registerOnce(ctx)
		if err == nil {
			return nil
		}
		log.Print("node: ", err)
		select {
		case <-ctx.Done():
			return err
		case <-time.After(time.Second):
		}
	}
}

func (a *agent) registerOnce(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, roundLimit)
	defer cancel()
	nodes := a.client.CoreV1().Nodes()
	wanted := &v1.Node{ObjectMeta: metav1.ObjectMeta{Name: a.node, Labels: map[string]string{
		v1.LabelHostname: a.node, v1.LabelOSStable: "linux", v1.LabelArchStable: runtime.GOARCH}}}
	if _, err := nodes.Create(ctx, wanted, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	node, err := nodes.Get(ctx, a.node, metav1.GetOptions{})
	if err != nil {
		return err
	}
	// The API server taints new nodes as not ready; a controller that does not run here would take that away.
	node.Spec.Taints = nil
	if node, err = nodes.Update(ctx, node, metav1.UpdateOptions{}); err != nil {
		return err
	}
	amount := v1.ResourceList{
		v1.ResourceCPU:              resource.MustParse("64"),
		v1.ResourceMemory:           resource.MustParse("256Gi"),
		v1.ResourceEphemeralStorage: resource.MustParse("500Gi"),
		v1.ResourcePods:             resource.MustParse("200"),
	}
	now := metav1.Now()
	node.Status = v1.NodeStatus{Capacity: amount, Allocatable: amount, Conditions: []v1.NodeCondition{{Type: v1.NodeReady,
		Status: v1.ConditionTrue, Reason: "AgentReady", Message: "the lab's agent is here", LastHeartbeatTime: now, LastTransitionTime: now}}}
	_, err = nodes.UpdateStatus(ctx, node, metav1.UpdateOptions{})
	return err
}
