// Package container runs one program as a container engine would, with nothing but namespaces: files, network and host name of its
// own. This file is the outer half: start, reach, stop. The inner half, which builds what the program sees, is in enter.go.
//
// A network of its own has two uses. The program may listen on all addresses and on any port, as images do, and clashes with no
// other container and is not reachable from the machine's network; and it runs with exactly the arguments of its Pod. Without a Link
// it leads nowhere: link.go.
//
// Needs CAP_SYS_ADMIN where it runs: root, or the root of a user namespace (`unshare --user --map-root-user`).
package container

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A Spec says what runs and what it sees. It is handed to the inner half as a file.
type Spec struct {
	Home       string   // directory of the container on the machine: its spec, its log, where its root is mounted
	Hostname   string   // what the program sees as the name of its host
	Address    string   // IPv4 address of the container, besides 127.0.0.1
	Link       *Link    // to the network around, if there is one
	Hosts      []string // further lines of its /etc/hosts
	Resolver   []string // lines of its /etc/resolv.conf
	Program    string   // path of the program on the machine
	Args       []string // its arguments, from the name of the program on
	Env        []string
	WorkingDir string
	Mounts     []Mount
}

// A Mount shows a directory or file of the machine inside the container.
type Mount struct{ Source, Target string }

// A Container is one run of a program. Its methods are for one owner, except Dial.
type Container struct {
	Address string

	command *exec.Cmd
	network *os.File
	killAt  time.Time // when to use force; zero before the first call of Stop
	done    chan struct{}
	endedAt time.Time // these two are written before done is closed
	exit    string
}

// EnterCommand is the argument with which this very program is started as the inner half.
const EnterCommand = "enter"

// Start starts the program; ended is called once, from another goroutine, when the program has ended.
func Start(spec Spec, ended func()) (*Container, error) {
	command, err := prepare(spec)
	if err != nil {
		return nil, err
	}
	defer command.Stdout.(*os.File).Close()
	if err := onLastingThread(command.Start); err != nil {
		return nil, err
	}
	network, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", command.Process.Pid))
	if err != nil {
		// Either it ended at once, which Wait tells better, or it can not be reached and must not stay.
		_ = command.Process.Kill()
		return nil, fmt.Errorf("network of %s: %w (its end: %v)", spec.Hostname, err, command.Wait())
	}
	if spec.Link != nil {
		if err := spec.Link.connect(command.Process.Pid, spec.Address); err != nil {
			_ = command.Process.Kill()
			return nil, fmt.Errorf("link of %s: %w (its end: %v, %v)", spec.Hostname, err, command.Wait(), network.Close())
		}
	}
	c := &Container{Address: spec.Address, command: command, network: network, done: make(chan struct{})}
	go func() {
		if err := command.Wait(); err != nil {
			c.exit = err.Error()
		} else {
			c.exit = "exit status 0"
		}
		c.endedAt = time.Now()
		close(c.done)
		ended()
	}()
	return c, nil
}

// prepare writes the spec and opens the log.
func prepare(spec Spec) (*exec.Cmd, error) {
	text, err := json.MarshalIndent(spec, "", "  ")
	if err != nil {
		return nil, err
	}
	at := filepath.Join(spec.Home, "spec.json")
	if err := os.WriteFile(at, text, 0o600); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(filepath.Join(spec.Home, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	command := exec.Command(self, EnterCommand, at)
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWUTS,
		Setpgid:    true,
		Pdeathsig:  syscall.SIGKILL,
	}
	return command, nil
}

var starts = make(chan func())

func init() {
	go func() {
		runtime.LockOSThread()
		for start := range starts {
			start()
		}
	}()
}

// onLastingThread starts a process from a thread that lives as long as this program: the signal that ends an orphan is sent when
// the thread that started it ends, not the process.
func onLastingThread(start func() error) error {
	result := make(chan error)
	starts <- func() { result <- start() }
	return <-result
}

// Dial connects to a port of the container from inside its network; it may be called from any goroutine.
func (c *Container) Dial(ctx context.Context, port int) (net.Conn, error) {
	type answer struct {
		conn net.Conn
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		// A socket belongs to the network in which it was made. The thread is never unlocked, so it ends with this goroutine and no
		// other goroutine finds itself in the container's network.
		runtime.LockOSThread()
		if err := unix.Setns(int(c.network.Fd()), unix.CLONE_NEWNET); err != nil {
			answers <- answer{err: fmt.Errorf("enter the network of %s: %w", c.Address, err)}
			return
		}
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp4", net.JoinHostPort(c.Address, fmt.Sprint(port)))
		answers <- answer{conn, err}
	}()
	got := <-answers
	return got.conn, got.err
}

// PID is the process id of the program.
func (c *Container) PID() int { return c.command.Process.Pid }

// Ended says whether the program has ended, and then how and when.
func (c *Container) Ended() (ended bool, exit string, at time.Time) {
	select {
	case <-c.done:
		return true, c.exit, c.endedAt
	default:
		return false, "", time.Time{}
	}
}

// Stop asks the program to end, and forces it when it is called again after the grace period.
func (c *Container) Stop(grace time.Duration) {
	if ended, _, _ := c.Ended(); ended {
		return
	}
	now := time.Now()
	if c.killAt.IsZero() {
		c.killAt = now.Add(grace)
		c.signal(syscall.SIGTERM)
	}
	if !now.Before(c.killAt) {
		c.signal(syscall.SIGKILL)
	}
}

// signal goes to the whole group; that there is none left any more is what was wanted.
func (c *Container) signal(s syscall.Signal) { _ = syscall.Kill(-c.PID(), s) }

// Close forgets a container that has ended.
func (c *Container) Close() error { return c.network.Close() }
