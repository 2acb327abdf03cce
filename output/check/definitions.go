package check

import (
	"fmt"
	"io"
	"strings"
)

// Icinga2 writes a CheckCommand for each check. A variable of the host or service stands for each flag; the flag is
// left out where the variable is not set.
func Icinga2(w io.Writer, program string, checks []*Check) error {
	var b strings.Builder
	for i, c := range checks {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "// %s\nobject CheckCommand \"varde_%s\" {\n  command = [ %s, \"check\", \"%s\" ]\n\n  arguments = {\n", c.Help, c.Name, dsl(program), c.Name)
		for _, f := range c.AllFlags() {
			variable := "varde_" + c.Name + "_" + strings.ReplaceAll(f.Name, "-", "_")
			fmt.Fprintf(&b, "    \"--%s\" = {\n", f.Name)
			if f.Kind == Switch {
				fmt.Fprintf(&b, "      set_if = \"$%s$\"\n", variable)
			} else {
				fmt.Fprintf(&b, "      value = \"$%s$\"\n", variable)
			}
			if f.Repeat {
				b.WriteString("      repeat_key = true\n")
			}
			help := f.Help
			if f.Default != "" {
				help += "; " + f.Default + " when left out"
			}
			fmt.Fprintf(&b, "      description = %s\n    }\n", dsl(help))
		}
		b.WriteString("  }\n}\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// dsl quotes a text for Icinga's language.
func dsl(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", " ").Replace(s) + `"`
}

// NRPE writes a line for NRPE's configuration with the flags of a call. NRPE takes no arguments from the net, so
// everything stands in it.
func NRPE(w io.Writer, program string, c *Check, v *Values) error {
	line := fmt.Sprintf("command[check_varde_%s]=%s check %s", c.Name, quote(program), c.Name)
	for _, f := range c.AllFlags() {
		given, values := v.given[f.Name], v.Texts(f.Name)
		switch {
		case f.Kind == Switch && v.On(f.Name):
			line += " --" + f.Name
		case f.Kind == Switch, len(given) == 0 && f.Kind != Limit && f.Kind != Ages:
		default:
			for _, x := range values {
				line += " --" + f.Name + " " + quote(x)
			}
		}
	}
	_, err := fmt.Fprintln(w, line)
	return err
}

// quote protects a word from the shell that NRPE starts.
func quote(s string) string {
	if s != "" && !strings.ContainsFunc(s, func(c rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:=@,%+", c)
	}) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
