package follow

import (
	"context"
	"log/slog"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// maxWatches bounds the folders that the kernel tells of; files in others wait for the next look.
const maxWatches = 256

// waker waits for something to happen in the folders of the files. It may miss what it likes: it only ends a wait early.
type waker struct {
	file    *os.File // inotify(7); nil where there is none
	watched map[string]bool
	woken   chan struct{}
}

func newWaker(log *slog.Logger) *waker {
	w := &waker{watched: map[string]bool{}, woken: make(chan struct{}, 1)}
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		log.Info("log files are looked at in intervals, since the kernel does not tell of changes", "every", pollEvery, "err", err)
		return w
	}
	w.file = os.NewFile(uintptr(fd), "inotify")
	go w.read()
	return w
}

func (w *waker) close() {
	if w.file != nil {
		w.file.Close()
	}
}

// read empties the queue of events until it is closed. What they are does not matter.
func (w *waker) read() {
	buf := make([]byte, 4096)
	for {
		if _, err := w.file.Read(buf); err != nil {
			return
		}
		select {
		case w.woken <- struct{}{}:
		default:
		}
	}
}

// watch asks to be told of a folder.
func (w *waker) watch(dir string) {
	if w.file == nil || w.watched[dir] || len(w.watched) >= maxWatches {
		return
	}
	raw, err := w.file.SyscallConn()
	if err != nil {
		return
	}
	if cerr := raw.Control(func(fd uintptr) {
		_, err = unix.InotifyAddWatch(int(fd), dir, unix.IN_MODIFY|unix.IN_CREATE|unix.IN_MOVED_TO)
	}); cerr == nil && err == nil {
		w.watched[dir] = true
	}
}

// shortest keeps a busy log from being looked at for each of its lines.
const shortest = 5 * time.Millisecond

// wait waits for something to happen, at most so long.
func (w *waker) wait(ctx context.Context, most time.Duration) {
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-w.woken:
		timer.Reset(shortest)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
	}
}
