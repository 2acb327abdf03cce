package flow

import (
	"encoding/binary"
	"slices"
)

// variable is the length of a field that states its length in each record (RFC 7011 section 7).
const variable = 0xffff

// field is one field specifier of a template.
type field struct {
	ID     uint16 `json:"id"`
	Length uint16 `json:"len"`
	PEN    uint32 `json:"pen,omitempty"`
}

// template is a data template compiled to what its records hold at which place.
type template struct {
	id     uint16
	fields []field
	scope  int // leading fields that are scope; 0 for data templates
	size   int // bytes of a record; the least number where a field is variable
	vary   bool
	ops    []op
	needs  needs
	seen   int64 // when it last came
}

func (t *template) sameLayout(o *template) bool {
	return t.scope == o.scope && slices.Equal(t.fields, o.fields)
}

// compile makes a template of field specifiers; ok is false where a record would have no size.
func compile(id uint16, fields []field, scope int) (t *template, ok bool) {
	t = &template{id: id, fields: slices.Clone(fields), scope: scope}
	for _, f := range fields {
		if f.Length == variable {
			t.vary = true
			t.size++
			continue
		}
		t.size += int(f.Length)
	}
	if t.size == 0 || t.size > 0xffff {
		return nil, false
	}
	if scope == 0 {
		t.plan()
	}
	return t, true
}

// parseTemplates takes the records of a template set. Options templates of v9 give the lengths of their parts in
// bytes, those of IPFIX count fields.
func (r *Reader) parseTemplates(m *message, b []byte, options bool) {
	for len(b) >= 4 {
		id, count := binary.BigEndian.Uint16(b), int(binary.BigEndian.Uint16(b[2:]))
		if m.version == IPFIX && count == 0 && (id == 2 || id == 3 || id >= 256) {
			r.withdraw(m, id)
			b = b[4:]
			continue
		}
		if id < 256 {
			return // padding
		}
		scope, header := 0, 4
		if options {
			header = 6
			if len(b) < header {
				r.c.reject(badOptions, m.from, m.received, len(b))
				return
			}
			scope = int(binary.BigEndian.Uint16(b[4:]))
			if m.version == NetFlow9 {
				scope, count = count/4, count/4+scope/4
			}
		}
		b = b[header:]
		fields, rest, ok := r.parseFields(m, b, count)
		if !ok || options && (scope == 0 || scope > count) {
			r.c.reject(badTemplate, m.from, m.received, count)
			return
		}
		b = rest
		r.learn(m, id, fields, scope)
	}
}

// parseFields takes count field specifiers into the reader's scratch space.
func (r *Reader) parseFields(m *message, b []byte, count int) (fields []field, rest []byte, ok bool) {
	if count == 0 || count > maxFields || count*4 > len(b) {
		return nil, nil, false
	}
	fields = r.rec.fields[:0]
	for range count {
		if len(b) < 4 {
			return nil, nil, false
		}
		f := field{ID: binary.BigEndian.Uint16(b), Length: binary.BigEndian.Uint16(b[2:])}
		b = b[4:]
		if m.version == IPFIX && f.ID&0x8000 != 0 {
			if len(b) < 4 {
				return nil, nil, false
			}
			f.ID, f.PEN = f.ID&0x7fff, binary.BigEndian.Uint32(b)
			b = b[4:]
		}
		fields = append(fields, f)
	}
	r.rec.fields = fields
	return fields, b, true
}

// learn stores a template and decodes what was held for it. A template that comes again unchanged is only touched.
func (r *Reader) learn(m *message, id uint16, fields []field, scope int) {
	for _, old := range m.d.templates[id] {
		if old.port == m.from.Port() && old.scope == scope && slices.Equal(old.fields, fields) {
			old.seen = m.received
			return
		}
	}
	t, ok := compile(id, fields, scope)
	if !ok {
		r.c.reject(badTemplate, m.from, m.received, len(fields))
		return
	}
	t.seen = m.received
	if !m.d.teach(m.from.Port(), t) {
		r.c.reject(tooManyTemplates, m.from, m.received, maxTemplates)
		return
	}
	m.learned = true
}

// withdraw forgets a template. RFC 7011 section 8.1 knows withdrawals only for stream transports and files; over UDP
// they are ignored.
func (r *Reader) withdraw(m *message, id uint16) {
	if !m.file {
		return
	}
	if id >= 256 {
		m.d.drop(id)
		return
	}
	for each, all := range m.d.templates { // all data templates, or all options templates
		if (all[0].scope > 0) == (id == 3) {
			m.d.drop(each)
		}
	}
}

// drop forgets the templates with that id.
func (d *domain) drop(id uint16) {
	for _, t := range d.templates[id] {
		d.shrink(t.memory())
		d.taught--
	}
	delete(d.templates, id)
}

// memory is what a template takes, estimated.
func (t *template) memory() int { return templateMemory + fieldMemory*len(t.fields) }
