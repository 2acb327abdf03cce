package agentx

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Advice says what a person can do about an error of Run, line by line: what stands in the way, and what belongs into
// snmpd.conf. It is empty where nothing of the kind would help.
func (c *Config) Advice(err error) []string {
	network, address, bad := splitMaster(c.Master)
	if bad != nil {
		return nil
	}
	var out []string
	switch {
	case errors.Is(err, fs.ErrPermission) && network == "unix":
		out = append(out, "this process may not open "+address+": "+who()+", but "+owner(filepath.Dir(address))+" and "+owner(address))
	case errors.Is(err, fs.ErrNotExist) && network == "unix":
		out = append(out, "there is no "+address+": snmpd does not run, or is not told to be a master agent")
	case errors.Is(err, syscall.ECONNREFUSED):
		out = append(out, "nobody listens on "+c.Master+": snmpd does not run, or is not told to be a master agent there")
	default:
		return nil
	}
	out = append(out, "put these lines into /etc/snmp/snmpd.conf and restart snmpd:")
	for _, line := range c.SnmpdConf() {
		out = append(out, "    "+line)
	}
	return out
}

// SnmpdConf are the lines that snmpd.conf needs. Modes are of the socket and of its directory; user and group are given
// to the socket only, while the directory stays root's, so that everybody must be able to pass through it.
func (c *Config) SnmpdConf() []string {
	network, address, err := splitMaster(c.Master)
	if err != nil {
		return nil
	}
	out := []string{"master agentx"}
	if network == "unix" {
		out = append(out, "agentXSocket "+address, "agentXPerms 0660 0755 "+servant())
	} else {
		out = append(out, "agentXSocket tcp:"+address)
	}
	if c.Amavis {
		out = append(out, "view systemonly included ."+amavisRoot().String())
	}
	return append(out, "view systemonly included ."+strings.TrimPrefix(c.Root, "."))
}

// servant are the user and group that shall have the socket: those of this process, or, for root, those that the
// package makes. snmpd takes no root there, but says that it cannot identify it.
func servant() string {
	if os.Geteuid() == 0 {
		return "varde varde"
	}
	return userName(os.Geteuid()) + " " + groupName(os.Getegid())
}

func who() string {
	uid := os.Geteuid()
	return "it is user " + userName(uid) + ", group " + groupName(os.Getegid())
}

// owner says mode and owner of a file, as far as they can be seen.
func owner(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return path + " cannot be seen"
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Sprintf("%s is %04o", path, info.Mode().Perm())
	}
	return fmt.Sprintf("%s is %04o %s:%s", path, info.Mode().Perm(), userName(int(st.Uid)), groupName(int(st.Gid)))
}

func userName(uid int) string {
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return u.Username
	}
	return strconv.Itoa(uid)
}

func groupName(gid int) string {
	if g, err := user.LookupGroupId(strconv.Itoa(gid)); err == nil {
		return g.Name
	}
	return strconv.Itoa(gid)
}
