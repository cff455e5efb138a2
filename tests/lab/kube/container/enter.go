// The inner half of a container: it runs in the new namespaces, builds what the program will see, and becomes the program.
package container

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// What every container sees of the machine: kernel interfaces, and the files that a program which is not linked statically needs.
// Everything else, /etc above all, is its own.
var shown = []string{"/bin", "/dev", "/etc/ssl", "/lib", "/lib64", "/proc", "/sbin", "/sys", "/usr"}

// programs is where the container's program is shown inside; a name that no image uses.
const programs = "/.lab"

// Enter sets up the namespaces this process was started in, by the spec whose path is the one argument, and runs its program.
func Enter(args []string) error {
	if len(args) != 1 {
		return errors.New("expects the path of a spec")
	}
	text, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	var spec Spec
	if err := json.Unmarshal(text, &spec); err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	if err := unix.Sethostname([]byte(spec.Hostname)); err != nil {
		return fmt.Errorf("set the host name: %w", err)
	}
	connect := loopbackOnly
	if spec.Link != nil {
		connect = attach
	}
	if err := connect(spec.Address); err != nil {
		return err
	}
	program, err := files(spec)
	if err != nil {
		return err
	}
	return fmt.Errorf("run %s: %w", program, syscall.Exec(program, spec.Args, spec.Env))
}

// loopbackOnly brings the loopback interface up and gives it the container's address as a second one.
func loopbackOnly(address string) error {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(socket)
	loopback, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	loopback.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(socket, unix.SIOCSIFFLAGS, loopback); err != nil {
		return fmt.Errorf("bring the loopback interface up: %w", err)
	}
	second, err := unix.NewIfreq("lo:pod")
	if err != nil {
		return err
	}
	if err := second.SetInet4Addr(net.ParseIP(address).To4()); err != nil {
		return fmt.Errorf("address %q: %w", address, err)
	}
	if err := unix.IoctlIfreq(socket, unix.SIOCSIFADDR, second); err != nil {
		return fmt.Errorf("give the container %s: %w", address, err)
	}
	return nil
}

// files builds the container's root in memory, makes it the root, and returns the program's path in it.
func files(spec Spec) (string, error) {
	root := filepath.Join(spec.Home, "root")
	if err := os.MkdirAll(root, 0o755); err != nil {
		return "", err
	}
	// Without this the mounts below would show outside.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return "", fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("tmpfs", root, "tmpfs", 0, "mode=0755"); err != nil {
		return "", fmt.Errorf("mount a root: %w", err)
	}
	for _, path := range shown {
		if err := show(root, path); err != nil {
			return "", err
		}
	}
	if err := own(root, spec); err != nil {
		return "", err
	}
	program := filepath.Join(programs, filepath.Base(spec.Program))
	for _, mount := range append(spec.Mounts, Mount{spec.Program, program}) {
		if err := mayMount(mount.Target); err != nil {
			return "", err
		}
		if err := bind(mount.Source, filepath.Join(root, mount.Target)); err != nil {
			return "", err
		}
	}
	if err := unix.Chroot(root); err != nil {
		return "", err
	}
	return program, os.Chdir(filepath.Join("/", spec.WorkingDir))
}

// mayMount refuses a place inside what is shown of the machine: the directory to mount on would be made on the machine.
func mayMount(target string) error {
	for _, path := range shown {
		if within, err := filepath.Rel(path, filepath.Clean(target)); err == nil && within != ".." && !strings.HasPrefix(within, "../") {
			return fmt.Errorf("a volume at %s can not be had: %s is the machine's own here", target, path)
		}
	}
	return nil
}

// own writes the files that are the container's alone and that many programs expect.
func own(root string, spec Spec) error {
	for _, directory := range []string{"etc", "run", "tmp", "var/tmp"} {
		if err := os.MkdirAll(filepath.Join(root, directory), 0o755); err != nil {
			return err
		}
	}
	hosts := append([]string{"127.0.0.1 localhost", spec.Address + " " + spec.Hostname}, spec.Hosts...)
	for path, text := range map[string]string{
		"etc/hosts":    strings.Join(hosts, "\n") + "\n",
		"etc/hostname": spec.Hostname + "\n",
		"etc/passwd":   "root:x:0:0:root:/:/bin/sh\n",
		"etc/group":    "root:x:0:\n",
	} {
		if err := os.WriteFile(filepath.Join(root, path), []byte(text), 0o644); err != nil {
			return err
		}
	}
	if len(spec.Resolver) == 0 {
		return nil
	}
	return os.WriteFile(filepath.Join(root, "etc/resolv.conf"), []byte(strings.Join(spec.Resolver, "\n")+"\n"), 0o644)
}

// show makes a path of the machine visible at the same path; links are made anew, what the machine lacks is left out.
func show(root, path string) error {
	found, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if found.Mode()&os.ModeSymlink == 0 {
		return bind(path, filepath.Join(root, path))
	}
	to, err := os.Readlink(path)
	if err != nil {
		return err
	}
	return os.Symlink(to, filepath.Join(root, path))
}

// bind mounts source at target, which is made first.
func bind(source, target string) error {
	found, err := os.Stat(source)
	if err != nil {
		return err
	}
	if found.IsDir() {
		err = os.MkdirAll(target, 0o755)
	} else if err = os.MkdirAll(filepath.Dir(target), 0o755); err == nil {
		err = os.WriteFile(target, nil, 0o644)
	}
	if err != nil {
		return err
	}
	if err := unix.Mount(source, target, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("mount %s at %s: %w", source, target, err)
	}
	return nil
}
