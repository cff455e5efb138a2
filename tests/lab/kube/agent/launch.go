package agent

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strings"

	v1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/third_party/forked/golang/expansion"

	"engine.test/lab/kube/container"
)

// launch starts the container of a Pod that has a program here.
func (a *agent) launch(pod *v1.Pod, h *held, c v1.Container, program string) (*container.Container, error) {
	h.home = filepath.Join(a.dir, pod.Namespace+"."+pod.Name)
	if err := os.MkdirAll(h.home, 0o700); err != nil {
		return nil, err
	}
	mounts, err := a.mounts(pod, h, c)
	if err != nil {
		return nil, err
	}
	env, err := a.environment(pod, h, c)
	if err != nil {
		return nil, err
	}
	expand := expansion.MappingFuncFor(env)
	args := []string{imageName(c.Image)}
	if len(c.Command) > 0 {
		args[0] = path.Base(c.Command[0])
	}
	for _, word := range commandLine(c) {
		args = append(args, expansion.Expand(word, expand))
	}
	spec := container.Spec{Home: h.home, Hostname: pod.Name, Address: h.address, Program: program, Args: args,
		WorkingDir: c.WorkingDir, Mounts: mounts, Hosts: hosts(pod)}
	if a.ownNetwork != "" {
		spec.Link = &container.Link{Name: linkName(h.address), Source: a.ownNetwork}
		spec.Resolver = []string{"nameserver " + a.resolver, "options ndots:5",
			fmt.Sprintf("search %s.svc.%s svc.%s %s", pod.Namespace, clusterDomain, clusterDomain, clusterDomain)}
	}
	for name, value := range env {
		spec.Env = append(spec.Env, name+"="+value)
	}
	sort.Strings(spec.Env)
	return container.Start(spec, a.poke)
}

// linkName tells the links of an agent's Pods apart as their addresses do.
func linkName(address string) string {
	return "pod" + address[strings.LastIndex(address, ".")+1:]
}

// hosts are the names that a Pod brings along.
func hosts(pod *v1.Pod) (lines []string) {
	for _, alias := range pod.Spec.HostAliases {
		lines = append(lines, alias.IP+" "+strings.Join(alias.Hostnames, " "))
	}
	return lines
}

// environment is what the container's program finds in its environment.
func (a *agent) environment(pod *v1.Pod, h *held, c v1.Container) (map[string]string, error) {
	env := map[string]string{"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/", "HOSTNAME": pod.Name}
	for _, from := range c.EnvFrom {
		var s source
		switch {
		case from.SecretRef != nil:
			s = source{true, from.SecretRef.Name, isTrue(from.SecretRef.Optional)}
		case from.ConfigMapRef != nil:
			s = source{false, from.ConfigMapRef.Name, isTrue(from.ConfigMapRef.Optional)}
		}
		data, _, err := a.content(pod.Namespace, s)
		if err != nil && !s.optional {
			return nil, err
		}
		for key, value := range data {
			env[from.Prefix+key] = string(value)
		}
	}
	for _, variable := range c.Env {
		value, there, err := a.value(pod, h, variable)
		if err != nil {
			return nil, err
		}
		if there {
			env[variable.Name] = expansion.Expand(value, expansion.MappingFuncFor(env))
		}
	}
	return env, nil
}

// value is that of one variable; it is not there if it comes from something optional that is missing.
func (a *agent) value(pod *v1.Pod, h *held, variable v1.EnvVar) (value string, there bool, err error) {
	from := variable.ValueFrom
	switch {
	case from == nil:
		return variable.Value, true, nil
	case from.FieldRef != nil:
		fields := map[string]string{"metadata.name": pod.Name, "metadata.namespace": pod.Namespace, "metadata.uid": string(pod.UID),
			"spec.nodeName": a.node, "status.podIP": h.address, "status.podIPs": h.address}
		value, there = fields[from.FieldRef.FieldPath]
		if !there {
			return "", false, fmt.Errorf("variable %s: field %s is not known here", variable.Name, from.FieldRef.FieldPath)
		}
		return value, true, nil
	case from.SecretKeyRef != nil:
		ref := from.SecretKeyRef
		return a.key(pod.Namespace, variable.Name, source{true, ref.Name, isTrue(ref.Optional)}, ref.Key)
	case from.ConfigMapKeyRef != nil:
		ref := from.ConfigMapKeyRef
		return a.key(pod.Namespace, variable.Name, source{false, ref.Name, isTrue(ref.Optional)}, ref.Key)
	default:
		return "", false, fmt.Errorf("variable %s: its source is not known here", variable.Name)
	}
}

func (a *agent) key(namespace, variable string, s source, key string) (value string, there bool, err error) {
	data, _, err := a.content(namespace, s)
	bytes, there := data[key]
	if there || s.optional {
		return string(bytes), there, nil
	}
	if err == nil {
		err = fmt.Errorf("it has no key %s", key)
	}
	return "", false, fmt.Errorf("variable %s: %s: %w", variable, s, err)
}
