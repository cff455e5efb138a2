package agent

import (
	"errors"
	"log"
	"net"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
)

const (
	clusterDomain = "cluster.local"
	// How long an answer may be kept, in seconds: short, as in any cluster.
	answerLives = 5
	// upstreamLimit is how long the server behind this one may take.
	upstreamLimit = 2 * time.Second
)

// resolve answers the Pods' questions about names until the socket is closed: those of the cluster's Services from what the agent sees,
// all others as the server upstream does.
func (a *agent) resolve(socket net.PacketConn) {
	for {
		packet := make([]byte, 1500)
		length, from, err := socket.ReadFrom(packet)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			log.Print("resolver: ", err)
			continue
		}
		go func() {
			if answer := a.answer(packet[:length]); answer != nil {
				_, _ = socket.WriteTo(answer, from) // who asked asks again
			}
		}()
	}
}

// answer is nil for what is not a question.
func (a *agent) answer(packet []byte) []byte {
	var query dnsmessage.Message
	if err := query.Unpack(packet); err != nil || len(query.Questions) != 1 || query.Response {
		return nil
	}
	question := query.Questions[0]
	name := strings.ToLower(question.Name.String())
	reply := dnsmessage.Message{Questions: query.Questions, Header: dnsmessage.Header{ID: query.ID, Response: true,
		RecursionDesired: query.RecursionDesired, RecursionAvailable: true}}
	service, ours := strings.CutSuffix(name, "."+clusterDomain+".")
	if !ours {
		if answer, err := a.askUpstream(packet); err == nil {
			return answer
		}
		reply.RCode = dnsmessage.RCodeServerFailure
	} else {
		reply.Authoritative = true
		addresses, known := a.lookUp(strings.Split(service, "."))
		if !known {
			reply.RCode = dnsmessage.RCodeNameError
		}
		if question.Type == dnsmessage.TypeA {
			for _, address := range addresses {
				reply.Answers = append(reply.Answers, dnsmessage.Resource{
					Header: dnsmessage.ResourceHeader{Name: question.Name, Class: dnsmessage.ClassINET, TTL: answerLives},
					Body:   &dnsmessage.AResource{A: [4]byte(address.To4())}})
			}
		}
	}
	packed, err := reply.Pack()
	if err != nil {
		log.Printf("resolver: answer about %s: %v", name, err)
		return nil
	}
	return packed
}

// lookUp finds the addresses of SERVICE.NAMESPACE.svc or, of one Pod behind a Service without an address, POD.SERVICE.NAMESPACE.svc.
func (a *agent) lookUp(parts []string) (addresses []net.IP, known bool) {
	host := ""
	if len(parts) == 4 {
		host, parts = parts[0], parts[1:]
	}
	if len(parts) != 3 || parts[2] != "svc" {
		return nil, false
	}
	service, err := a.services.Services(parts[1]).Get(parts[0])
	if err != nil {
		return nil, false
	}
	if service.Spec.ClusterIP != v1.ClusterIPNone {
		return parsed(service.Spec.ClusterIP), host == ""
	}
	for _, pod := range a.podsBehind(service) {
		if host == "" || pod.Spec.Hostname == host && pod.Spec.Subdomain == service.Name {
			addresses = append(addresses, parsed(pod.Status.PodIP)...)
		}
	}
	return addresses, host == "" || len(addresses) > 0
}

// podsBehind are the Pods that a Service leads to.
func (a *agent) podsBehind(service *v1.Service) (behind []*v1.Pod) {
	if len(service.Spec.Selector) == 0 {
		return nil
	}
	pods, err := a.pods.Pods(service.Namespace).List(labels.SelectorFromSet(service.Spec.Selector))
	if err != nil {
		log.Printf("service %s/%s: %v", service.Namespace, service.Name, err)
	}
	for _, pod := range pods {
		if pod.DeletionTimestamp == nil && (isReady(pod) || service.Spec.PublishNotReadyAddresses) {
			behind = append(behind, pod)
		}
	}
	return behind
}

// parsed is empty for an address that is not there yet, or of the other kind.
func parsed(address string) []net.IP {
	if ip := net.ParseIP(address); ip.To4() != nil {
		return []net.IP{ip}
	}
	return nil
}

func (a *agent) askUpstream(packet []byte) ([]byte, error) {
	conn, err := net.Dial("udp4", a.upstream)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(upstreamLimit)); err != nil {
		return nil, err
	}
	if _, err := conn.Write(packet); err != nil {
		return nil, err
	}
	answer := make([]byte, 4096)
	length, err := conn.Read(answer)
	return answer[:length], err
}
