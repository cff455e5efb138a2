package agent

import (
	"context"
	"log"
	"os"
	"path/filepath"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// claim gives a claim of a storage class its volume: a directory that lives as long as the claim. As in any cluster, a claim without
// a class stays Pending, and so does the Pod that mounts it.
func (a *agent) claim(ctx context.Context, claim *v1.PersistentVolumeClaim) error {
	if class := claim.Spec.StorageClassName; class == nil || *class == "" || claim.Status.Phase == v1.ClaimBound {
		return nil
	}
	bound := claim.DeepCopy()
	bound.Status.Phase = v1.ClaimBound
	bound.Status.AccessModes = claim.Spec.AccessModes
	bound.Status.Capacity = claim.Spec.Resources.Requests
	_, err := a.client.CoreV1().PersistentVolumeClaims(claim.Namespace).UpdateStatus(ctx, bound, metav1.UpdateOptions{})
	return unlessOvertaken(err)
}

// waitsForClaim says whether a Pod can not be placed yet, because a claim of it is not bound or not there.
func (a *agent) waitsForClaim(pod *v1.Pod) bool {
	for _, volume := range pod.Spec.Volumes {
		if from := volume.PersistentVolumeClaim; from != nil {
			claim, err := a.claims.PersistentVolumeClaims(pod.Namespace).Get(from.ClaimName)
			if err != nil || claim.Status.Phase != v1.ClaimBound {
				return true
			}
		}
	}
	return false
}

// claimDirectories are those of a Pod's volumes that outlive it, by the volume's name.
func (a *agent) claimDirectories(pod *v1.Pod) map[string]string {
	found := map[string]string{}
	for _, volume := range pod.Spec.Volumes {
		if from := volume.PersistentVolumeClaim; from != nil {
			if claim, err := a.claims.PersistentVolumeClaims(pod.Namespace).Get(from.ClaimName); err == nil {
				found[volume.Name] = filepath.Join(a.claimsDir(), string(claim.UID))
			}
		}
	}
	return found
}

func (a *agent) claimsDir() string { return filepath.Join(a.dir, "claims") }

// forgetClaims removes the directories of claims that are gone.
func (a *agent) forgetClaims(claims []*v1.PersistentVolumeClaim) {
	there, err := os.ReadDir(a.claimsDir())
	if err != nil {
		return // no claim has had a directory yet
	}
	left := map[string]bool{}
	for _, claim := range claims {
		left[string(claim.UID)] = true
	}
	for _, entry := range there {
		if !left[entry.Name()] {
			if err := os.RemoveAll(filepath.Join(a.claimsDir(), entry.Name())); err != nil {
				log.Print("remove a volume: ", err)
			}
		}
	}
}

// claimsRound looks at every claim once.
func (a *agent) claimsRound(ctx context.Context) {
	claims, err := a.claims.List(labels.Everything())
	if err != nil {
		log.Print("list claims: ", err)
		return
	}
	for _, claim := range claims {
		a.complain("claim "+claim.Namespace+"/"+claim.Name, a.claim(ctx, claim))
	}
	a.forgetClaims(claims)
}
