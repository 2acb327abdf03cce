package warn

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"text/template"
	"time"

	"varde/event"
	"varde/event/human"
)

// ExecConfig runs a program for each warning, one at a time and never through a shell.
type ExecConfig struct {
	Command []string       `yaml:"command" doc:"Program by its full path, and arguments, which are Go text/templates such as {{.foreign.addr}}."`
	Timeout human.Duration `yaml:"timeout" doc:"How long it may run; 10s by default, then it is killed with its children."`
	Dir     string         `yaml:"dir" doc:"Where it runs; / by default."`
}

// Bounds of a program.
const (
	maxArguments = 256
	maxArgument  = 8 << 10
	execTimeout  = 10 * time.Second
	execOutput   = 400 // bytes of output that an error tells
	killGrace    = time.Second
)

// exitRefuse is EX_DATAERR of sysexits.h: the program says that it will never take this warning.
const exitRefuse = 65

// Check says which value is impossible.
func (c *ExecConfig) Check() error {
	if len(c.Command) == 0 {
		return errors.New("exec needs a command: [/full/path/of/program, argument, ...]")
	}
	if !filepath.IsAbs(c.Command[0]) {
		return fmt.Errorf("command %q: give the program by its full path, such as /usr/local/bin/page-me", c.Command[0])
	}
	if len(c.Command) > maxArguments {
		return fmt.Errorf("command has %d arguments: use at most %d", len(c.Command), maxArguments)
	}
	if _, err := arguments(c.Command[1:]); err != nil {
		return fmt.Errorf("command: %w", err)
	}
	return checkTimeout(time.Duration(c.Timeout))
}

// arguments are the templates of the arguments; nil stands for one without.
func arguments(texts []string) ([]*template.Template, error) {
	out := make([]*template.Template, len(texts))
	for i, text := range texts {
		if !strings.Contains(text, "{{") {
			continue
		}
		t, err := parseTemplate(fmt.Sprintf("argument %d", i+1), text)
		if err != nil {
			return nil, err
		}
		out[i] = t
	}
	return out, nil
}

type program struct {
	ExecConfig
	args []*template.Template
}

func newExec(c ExecConfig) (event.Sayer, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	if c.Timeout == 0 {
		c.Timeout = human.Duration(execTimeout)
	}
	if c.Dir == "" {
		c.Dir = "/"
	}
	args, err := arguments(c.Command[1:])
	return &program{c, args}, err
}

// Name is exec.
func (p *program) Name() string { return "exec" }

// Say runs the program. Exit code 65 refuses the warning for good, any other than 0 asks for it again.
func (p *program) Say(ctx context.Context, w event.Warning) error {
	args, err := p.fill(&w)
	if err != nil {
		return refuse(fmt.Errorf("exec: %w", err))
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(p.Timeout))
	defer cancel()
	cmd := exec.CommandContext(ctx, p.Command[0], args...)
	cmd.Stdin = bytes.NewReader(append(w.AppendJSON(nil, w.Time), '\n'))
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"}
	cmd.Dir = p.Dir
	out := bounded{most: execOutput, lenient: true}
	cmd.Stdout, cmd.Stderr = &out, &out
	// Its children are killed with it: a group of their own, of which the negative number is the name (kill(2)).
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = killGrace
	err = cmd.Run()
	if err == nil || errors.Is(err, exec.ErrWaitDelay) { // the latter has left a child that holds its output
		return nil
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	said := fmt.Errorf("exec %s: %w: %s", p.Command[0], err, human.Safe(strings.TrimSpace(out.String())))
	if code, ok := errors.AsType[*exec.ExitError](err); ok && code.ExitCode() == exitRefuse {
		return refuse(said)
	}
	return said
}

// fill renders the arguments. Control characters of a hostile text become visible, so that none ends an argument.
func (p *program) fill(w *event.Warning) ([]string, error) {
	out := make([]string, len(p.args))
	for i, t := range p.args {
		out[i] = p.Command[i+1]
		if t == nil {
			continue
		}
		b, err := render(t, w)
		if err != nil {
			return nil, err
		}
		if len(b) > maxArgument {
			return nil, fmt.Errorf("argument %d is longer than %d bytes", i+1, maxArgument)
		}
		out[i] = human.Safe(string(b))
	}
	return out, nil
}
