package proto

import "strconv"

// Namespace is one of the eight kinds of namespaces(7).
type Namespace uint8

const (
	User Namespace = iota
	Mount
	UTS
	IPC
	Cgroup
	Net
	Time
	PID

	NumNamespaces = int(PID) + 1
)

var namespaceNames = [NumNamespaces]string{
	User: "user", Mount: "mount", UTS: "uts", IPC: "ipc",
	Cgroup: "cgroup", Net: "net", Time: "time", PID: "pid",
}

// String is the atom that stands for the namespace in a request.
func (n Namespace) String() string {
	if int(n) < NumNamespaces {
		return namespaceNames[n]
	}
	return "namespace" + strconv.Itoa(int(n))
}

// namespaceOf is the namespace that an atom stands for.
func namespaceOf(name string) (Namespace, bool) {
	for n, s := range namespaceNames {
		if s == name {
			return Namespace(n), true
		}
	}
	return 0, false
}
