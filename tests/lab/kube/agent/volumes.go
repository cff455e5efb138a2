package agent

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"engine.test/lab/kube/container"
)

// source is a Secret or ConfigMap that a Pod needs.
type source struct {
	secret   bool
	name     string
	optional bool
}

func (s source) String() string {
	if s.secret {
		return "secret " + s.name
	}
	return "configmap " + s.name
}

func isTrue(b *bool) bool { return b != nil && *b }

// sources lists the Secrets and ConfigMaps of a Pod's volumes and environment. Projected volumes are left out: every Pod has one for
// its service account, and nothing that runs here talks to its API server.
func sources(pod *v1.Pod) (all []source) {
	for _, volume := range pod.Spec.Volumes {
		if s := volume.Secret; s != nil {
			all = append(all, source{true, s.SecretName, isTrue(s.Optional)})
		}
		if c := volume.ConfigMap; c != nil {
			all = append(all, source{false, c.Name, isTrue(c.Optional)})
		}
	}
	for _, c := range pod.Spec.Containers {
		for _, from := range c.EnvFrom {
			if s := from.SecretRef; s != nil {
				all = append(all, source{true, s.Name, isTrue(s.Optional)})
			}
			if m := from.ConfigMapRef; m != nil {
				all = append(all, source{false, m.Name, isTrue(m.Optional)})
			}
		}
		for _, variable := range c.Env {
			if from := variable.ValueFrom; from != nil && from.SecretKeyRef != nil {
				all = append(all, source{true, from.SecretKeyRef.Name, isTrue(from.SecretKeyRef.Optional)})
			} else if from != nil && from.ConfigMapKeyRef != nil {
				all = append(all, source{false, from.ConfigMapKeyRef.Name, isTrue(from.ConfigMapKeyRef.Optional)})
			}
		}
	}
	return all
}

// missing names what the Pod needs and what does not exist; on a kubelet too such a Pod waits.
func (a *agent) missing(pod *v1.Pod) (names []string) {
	for _, s := range sources(pod) {
		if _, _, err := a.content(pod.Namespace, s); err != nil && !s.optional {
			names = append(names, s.String())
		}
	}
	sort.Strings(names)
	return names
}

// content is what a Secret or ConfigMap holds, and its version.
func (a *agent) content(namespace string, s source) (data map[string][]byte, version string, err error) {
	if s.secret {
		secret, err := a.secrets.Secrets(namespace).Get(s.name)
		if err != nil {
			return nil, "", err
		}
		return secret.Data, string(secret.UID) + secret.ResourceVersion, nil
	}
	config, err := a.configs.ConfigMaps(namespace).Get(s.name)
	if err != nil {
		return nil, "", err
	}
	data = map[string][]byte{}
	for key, value := range config.BinaryData {
		data[key] = value
	}
	for key, value := range config.Data {
		data[key] = []byte(value)
	}
	return data, string(config.UID) + config.ResourceVersion, nil
}

// mounts makes the Pod's volumes and says where each is seen in its container.
func (a *agent) mounts(pod *v1.Pod, h *held, c v1.Container) (mounts []container.Mount, err error) {
	if err := a.refreshVolumes(pod, h); err != nil {
		return nil, err
	}
	claims := a.claimDirectories(pod)
	for _, mount := range c.VolumeMounts {
		if mount.SubPathExpr != "" {
			return nil, fmt.Errorf("volume %s: subPathExpr is not known here", mount.Name)
		}
		at := filepath.Join(h.home, "volumes", mount.Name)
		if claim, is := claims[mount.Name]; is {
			at = claim
		}
		mounts = append(mounts, container.Mount{Source: filepath.Join(at, mount.SubPath), Target: mount.MountPath})
	}
	return mounts, nil
}

// refreshVolumes writes each volume whose Secret or ConfigMap is newer than the files, as a kubelet does while a Pod runs.
func (a *agent) refreshVolumes(pod *v1.Pod, h *held) error {
	for _, volume := range pod.Spec.Volumes {
		at := filepath.Join(h.home, "volumes", volume.Name)
		var s source
		var items []v1.KeyToPath
		switch {
		case volume.Secret != nil:
			s, items = source{true, volume.Secret.SecretName, isTrue(volume.Secret.Optional)}, volume.Secret.Items
		case volume.ConfigMap != nil:
			s, items = source{false, volume.ConfigMap.Name, isTrue(volume.ConfigMap.Optional)}, volume.ConfigMap.Items
		case volume.EmptyDir != nil, volume.Projected != nil:
			if err := os.MkdirAll(at, 0o700); err != nil {
				return err
			}
			continue
		case volume.PersistentVolumeClaim != nil:
			if err := os.MkdirAll(a.claimDirectories(pod)[volume.Name], 0o700); err != nil {
				return err
			}
			continue
		default:
			return fmt.Errorf("volume %s is of a kind that is not known here", volume.Name)
		}
		data, version, err := a.content(pod.Namespace, s)
		if apierrors.IsNotFound(err) && h.volumes[volume.Name] != "" {
			continue // it was deleted while the Pod runs: the files stay, as with a kubelet
		}
		if err != nil && !(apierrors.IsNotFound(err) && s.optional) {
			return err
		}
		if version != "" && version == h.volumes[volume.Name] {
			continue
		}
		if err := writeVolume(at, chosen(data, items)); err != nil {
			return fmt.Errorf("volume %s: %w", volume.Name, err)
		}
		h.volumes[volume.Name] = version
	}
	return nil
}

// chosen applies a volume's `items`: which keys are seen, and under which names.
func chosen(data map[string][]byte, items []v1.KeyToPath) map[string][]byte {
	if len(items) == 0 {
		return data
	}
	files := map[string][]byte{}
	for _, item := range items {
		if value, there := data[item.Key]; there {
			files[item.Path] = value
		}
	}
	return files
}

// writeVolume replaces each file at once, so that a reader never sees half of one, and removes those that are no longer wanted.
func writeVolume(at string, files map[string][]byte) error {
	if err := os.MkdirAll(at, 0o700); err != nil {
		return err
	}
	for name, value := range files {
		file := filepath.Join(at, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			return err
		}
		if err := errors.Join(os.WriteFile(file+".new", value, 0o600), os.Rename(file+".new", file)); err != nil {
			return err
		}
	}
	there, err := os.ReadDir(at)
	if err != nil {
		return err
	}
	for _, entry := range there {
		wanted := false
		for name := range files {
			wanted = wanted || name == entry.Name() || strings.HasPrefix(name, entry.Name()+"/")
		}
		if !wanted {
			if err := os.RemoveAll(filepath.Join(at, entry.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}
