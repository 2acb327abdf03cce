package detect

import (
	"container/list"
	"io"
	"net/netip"

	"varde/event"
)

// Save writes the incidents that are open, so that they are not said anew after a restart.
func (c *Contacts) Save(w io.Writer) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return save(w, "contacts", c.walk)
}

// Load reads what Save wrote. After an error no incident is open.
func (c *Contacts) Load(r io.Reader) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.empty()
	err := load(r, "contacts", c.walk)
	if err != nil {
		c.empty()
	}
	return err
}

func (c *Contacts) empty() {
	c.open = map[key]*incident{}
	c.order.Init()
	c.kept.Init()
}

// walk writes or reads the incidents, the longest untouched first.
func (c *Contacts) walk(s *codec) {
	n := s.count(len(c.open), c.cfg.Max)
	if !s.reading() {
		for _, l := range []*list.List{c.order, c.kept} {
			for at := l.Front(); at != nil; at = at.Next() {
				s.incident(at.Value.(*incident))
			}
		}
		return
	}
	for ; n > 0 && s.err == nil; n-- {
		i := &incident{}
		if s.incident(i); c.open[i.key] != nil {
			s.fail("a key stands twice")
			return
		}
		i.place = c.in(i).PushBack(i)
		c.open[i.key] = i
	}
}

// maxSavedText bounds a text of evidence, which is far more than a list may have.
const maxSavedText = 64 << 10

func (c *codec) text(v *string) {
	b := []byte(*v)
	if !c.reading() {
		b = b[:min(len(b), maxSavedText)]
	}
	if n := c.count(len(b), maxSavedText); c.reading() {
		b = make([]byte, n)
	}
	c.bytes(b)
	if c.reading() {
		*v = string(b)
	}
}

func (c *codec) incident(i *incident) {
	c.addr(&i.own)
	c.addr(&i.foreign)
	number(c, &i.proto)
	number(c, &i.port)
	c.flag(&i.outbound)
	c.text(&i.id)
	number(c, &i.first, &i.last, &i.touched)
	c.u64(&i.count)
	for way := range i.bytes {
		c.u64(&i.packets[way])
		c.u64(&i.bytes[way])
		number(c, &i.flags[way])
	}
	c.flag(&i.rejected)
	number(c, &i.sampling)
	c.flag(&i.vague)
	stopped := i.refused != nil
	if c.flag(&stopped); stopped {
		if c.reading() {
			i.refused = &refused{}
		}
		c.addr(&i.refused.first.Addr)
		number(c, &i.refused.first.Port)
		number(c, &i.refused.proto)
		c.distinct(&i.refused.targets)
	}
	if n := c.count(len(i.evidence), maxEvidence); c.reading() {
		i.evidence = make([]event.Evidence, n)
	}
	for at := range i.evidence {
		c.evidence(&i.evidence[at])
	}
	number(c, &i.said.at)
	number(c, &i.said.verdict)
	number(c, &i.said.severity)
	if i.said.verdict > event.Passing || i.said.severity > event.Critical {
		i.said.verdict, i.said.severity = event.VerdictUnknown, event.Info
		c.fail("a verdict is unknown")
	}
	c.u64(&i.said.bytes)
	i.said.lists = c.count(i.said.lists, maxEvidence)
	c.event(&i.said.raised)
}

func (c *codec) evidence(v *event.Evidence) {
	for _, text := range []*string{&v.List, &v.Text, &v.Name, &v.URL} {
		c.text(text)
	}
	a, bits := v.Entry.Addr(), v.Entry.Bits()
	c.addr(&a)
	number(c, &bits)
	if c.reading() && a.IsValid() {
		v.Entry = netip.PrefixFrom(a, bits)
	}
	number(c, &v.Port)
	number(c, &v.Confidence)
	number(c, &v.Seen)
	number(c, &v.Side)
	for _, flag := range []*bool{&v.Downgraded, &v.PortMiss, &v.Info} {
		c.flag(flag)
	}
	tags := v.Tags[:min(len(v.Tags), maxSavedTags)]
	n := c.count(len(tags), maxSavedTags)
	if c.reading() {
		tags = make([]string, n)
	}
	for at := range tags {
		c.text(&tags[at])
	}
	if c.reading() && n > 0 {
		v.Tags = tags
	}
}

// maxSavedTags is how many tags of an entry are saved.
const maxSavedTags = 64
