package agent

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"engine.test/lab/kube/container"
)

// probe asks a real Pod whether it is ready. It does not ask more often than a second, nor than the Pod wants.
type probe struct {
	asked    time.Time
	answer   chan bool // of the question that is under way
	previous bool
}

// ready is the newest answer. A Pod without a readiness probe is ready as long as it runs; a kind of probe that is not known here
// never succeeds, so that nobody believes what nobody has looked at.
func (p *probe) ready(pod *v1.Pod, wanted *v1.Probe, c *container.Container) bool {
	if wanted == nil {
		return true
	}
	if p.answer != nil {
		select {
		case p.previous = <-p.answer:
			p.answer = nil
		default:
			return p.previous
		}
	}
	pause := time.Duration(max(wanted.PeriodSeconds, 1)) * time.Second
	if !p.previous {
		pause = time.Second / 4 // start-up is what people and tests wait for
	}
	if time.Since(p.asked) < pause {
		return p.previous
	}
	p.asked, p.answer = time.Now(), make(chan bool, 1)
	go func(answer chan<- bool) { answer <- ask(pod, wanted, c) }(p.answer)
	return p.previous
}

func ask(pod *v1.Pod, wanted *v1.Probe, c *container.Container) bool {
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(max(wanted.TimeoutSeconds, 1))*time.Second)
	defer cancel()
	switch {
	case wanted.HTTPGet != nil:
		return get(ctx, pod, wanted.HTTPGet, c)
	case wanted.TCPSocket != nil:
		conn, err := c.Dial(ctx, portOf(pod, wanted.TCPSocket.Port))
		return err == nil && conn.Close() == nil
	default:
		return false
	}
}

func get(ctx context.Context, pod *v1.Pod, wanted *v1.HTTPGetAction, c *container.Container) bool {
	port := portOf(pod, wanted.Port)
	scheme := strings.ToLower(string(wanted.Scheme))
	if scheme == "" {
		scheme = "http"
	}
	client := http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DisableKeepAlives: true,
			TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, // as a kubelet does
			DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return c.Dial(ctx, port) },
		},
	}
	url := fmt.Sprintf("%s://%s:%d/%s", scheme, c.Address, port, strings.TrimPrefix(wanted.Path, "/"))
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	for _, header := range wanted.HTTPHeaders {
		request.Header.Add(header.Name, header.Value)
	}
	answer, err := client.Do(request)
	if err != nil {
		return false
	}
	return answer.Body.Close() == nil && answer.StatusCode >= 200 && answer.StatusCode < 400
}

// portOf is the number of a port that may be named.
func portOf(pod *v1.Pod, port intstr.IntOrString) int {
	if port.Type == intstr.Int {
		return port.IntValue()
	}
	for _, c := range pod.Spec.Containers {
		for _, p := range c.Ports {
			if p.Name == port.StrVal {
				return int(p.ContainerPort)
			}
		}
	}
	return 0 // no such port: nothing listens there
}
