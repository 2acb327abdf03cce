package fwlog

import (
	"bytes"
	"math"

	"varde/event"
	"varde/input/syslog"
)

// unifi reads the messages in CEF that UniFi's controllers write since version 9. The tag "CEF:" may be missing:
//
//	CEF:0|Ubiquiti|UniFi Network|9.3.33|201|Threat Detected and Blocked|7|proto=TCP src=A spt=p dst=B dpt=q ...
func (r *Reader) unifi(l *syslog.Line) verdict {
	c := cursor{l.Text}
	if !c.past("|Ubiquiti|") {
		return foreign
	}
	c.upTo('|') // product
	c.upTo('|') // version
	c.upTo('|') // class
	name := c.upTo('|')
	c.upTo('|') // severity
	e := r.fresh(l)
	action := event.UnknownAction
	for {
		eq := bytes.IndexByte(c.b, '=')
		if eq < 0 {
			break
		}
		key := c.b[bytes.LastIndexByte(c.b[:eq], ' ')+1 : eq]
		c.b = c.b[eq+1:]
		value := cefValue(c.b)
		c.b = c.b[len(value):]
		if a, ok := cefAction(key, value); ok {
			action = a
		}
		if !r.cefField(key, value) {
			return broken
		}
	}
	if !e.Src.IsValid() || !e.Dst.IsValid() && e.DstPort == 0 {
		return ignored // a login, a device that is gone
	}
	if e.Rule == "" {
		e.Rule = r.texts.of(name)
	} else {
		r.detail("reason", name)
	}
	if action == event.UnknownAction && bytes.Contains(name, []byte("Blocked")) {
		action = event.Deny
	}
	return r.finish(action, 0)
}

// cefValue is everything up to the blank before the next key.
func cefValue(b []byte) []byte {
	eq := bytes.IndexByte(b, '=')
	for eq > 0 && b[eq-1] == '\\' {
		n := bytes.IndexByte(b[eq+1:], '=')
		if n < 0 {
			return b
		}
		eq += n + 1
	}
	if eq < 0 {
		return b
	}
	if end := bytes.LastIndexByte(b[:eq], ' '); end >= 0 {
		return b[:end]
	}
	return nil
}

func cefAction(key, value []byte) (event.Action, bool) {
	if string(key) != "act" && string(key) != "UNIFIaction" && string(key) != "UNIFIpolicyType" {
		return 0, false
	}
	switch {
	case fold(value, "blocked"), fold(value, "block"), fold(value, "drop"), fold(value, "reject"):
		return event.Deny, true
	case fold(value, "allowed"), fold(value, "allow"), fold(value, "accept"):
		return event.Accept, true
	}
	return 0, false
}

func (r *Reader) cefField(key, value []byte) (ok bool) {
	e := &r.ev
	ok = true
	var v uint64
	switch string(key) {
	case "proto":
		e.Proto, ok = protocol(value)
	case "src":
		e.Src, ok = wholeAddress(value)
	case "dst":
		e.Dst, ok = wholeAddress(value)
	case "spt":
		v, ok = whole(value, math.MaxUint16)
		e.SrcPort = uint16(v)
	case "dpt":
		v, ok = whole(value, math.MaxUint16)
		e.DstPort = uint16(v)
	case "UNIFIpolicyName", "UNIFIipsSignature":
		e.Rule = r.texts.of(r.unescape(value))
	case "deviceInboundInterface":
		e.InIf = r.texts.of(value)
	case "deviceOutboundInterface":
		e.OutIf = r.texts.of(value)
	}
	return ok
}
