// How a container's network is connected with the one around it, where there is one that leads somewhere.
package container

import (
	"fmt"
	"net"
	"os/exec"
	"strings"
	"time"
)

// A Link is a pair of interfaces: one stays with the program that starts the container, the other one moves into the container.
// Needs the program `ip`.
type Link struct {
	Name   string // of the interface that stays, at most 15 letters; no two containers of a network share one
	Source string // the address that the network around speaks from
}

const (
	// gateway is what every container calls the other end of its own link; it is not seen on any other.
	gateway = "169.254.1.1"
	// inside is the container's own end.
	inside = "eth0"
	// linkLimit is how long the inner half waits for its end to be moved in.
	linkLimit = 10 * time.Second
)

// connect is the outer half: it makes both ends, and leads what is for the container into it.
func (l Link) connect(pid int, address string) error {
	if _, err := net.InterfaceByName(l.Name); err == nil {
		// That of an earlier run, which the kernel takes away some time after the run's end.
		if err := ip("link delete " + l.Name); err != nil {
			return err
		}
	}
	return ip(
		fmt.Sprintf("link add %s type veth peer name %s netns %d", l.Name, inside, pid),
		fmt.Sprintf("address add %s/32 dev %s", gateway, l.Name),
		fmt.Sprintf("link set %s up", l.Name),
		fmt.Sprintf("route add %s/32 dev %s src %s", address, l.Name, l.Source),
	)
}

// attach is the inner half: it waits for the container's end and makes it the way to everything.
func attach(address string) error {
	for deadline := time.Now().Add(linkLimit); ; time.Sleep(2 * time.Millisecond) {
		if _, err := net.InterfaceByName(inside); err == nil {
			break
		} else if time.Now().After(deadline) {
			return fmt.Errorf("wait for the link: %w", err)
		}
	}
	return ip(
		"link set lo up",
		fmt.Sprintf("address add %s/32 dev %s", address, inside),
		fmt.Sprintf("link set %s up", inside),
		fmt.Sprintf("route add %s dev %s", gateway, inside),
		fmt.Sprintf("route add default via %s", gateway),
	)
}

// ip carries commands out with the program of that name, in the network of this process, up to the first that fails.
func ip(commands ...string) error {
	command := exec.Command("ip", "-batch", "-")
	command.Stdin = strings.NewReader(strings.Join(commands, "\n") + "\n")
	if said, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("ip: %w: %s", err, strings.TrimSpace(string(said)))
	}
	return nil
}
