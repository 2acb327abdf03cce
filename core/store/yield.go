package store

import (
	"runtime"
	"syscall"
)

// niceness is how far storing steps back: where both want the processor, receiving and warning get nine tenths of it.
// What cannot be stored in time then is counted; what the kernel drops before it is received is lost to the warnings too.
const niceness = 10

// stepBack makes the calling goroutine's thread, and those that are started from it, give way to all others. The thread
// ends with the goroutine, since only a privileged process may take this back.
func stepBack() {
	runtime.LockOSThread()
	_ = syscall.Setpriority(syscall.PRIO_PROCESS, syscall.Gettid(), niceness) // where it is refused, storing is only less polite
}

// steppedBack runs do on such a thread.
func steppedBack(do func() error) error {
	done := make(chan error)
	go func() {
		stepBack()
		done <- do()
	}()
	return <-done
}
