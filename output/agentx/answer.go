package agentx

import (
	"context"
	"slices"
)

// maxBulk bounds the variables in the answer to a GetBulk; fewer repetitions than asked for are allowed.
const maxBulk = 4096

// answer answers a request of the master (RFC 2741 section 7.2). All requests are answered but CleanupSet.
func (s *session) answer(ctx context.Context, p *pdu, bad bool) error {
	if int(p.kind) < len(s.stats.asked) {
		s.stats.asked[p.kind].Add(1)
	}
	if p.kind == pduCleanupSet {
		return nil // nothing was ever held for a Set, and section 7.2.4.4 wants no answer
	}
	out := pdu{kind: pduResponse, flags: flagNetworkOrder, session: p.session, transaction: p.transaction, packet: p.packet, vars: s.vars[:0]}
	switch {
	case !s.established || p.session != s.id:
		out.err = errNotOpen
	case bad:
		out.err = errParse
	case p.flags&flagContext != 0 && p.context != "":
		out.err = errUnsupportedContext
	default:
		s.fill(ctx, p, &out)
	}
	if out.err != errNone {
		s.stats.errors.Add(1)
	}
	s.vars = out.vars
	s.stats.values.Add(uint64(len(out.vars)))
	return s.send(s.enc.response(&out))
}

// fill makes the answer to a request that is in order.
func (s *session) fill(ctx context.Context, p, out *pdu) {
	switch p.kind {
	case pduTestSet:
		// Everything is read-only, whatever its name (RFC 3416 section 4.2.5). The first variable is named.
		out.err, out.index = errNotWritable, 1
		return
	case pduCommitSet:
		out.err = errCommitFailed // no test can have succeeded
		return
	case pduUndoSet, pduPing:
		return // nothing was set, so nothing is left to undo
	}
	from := s.keeper.pictureFor(ctx, p)
	if from == nil {
		out.err, out.index = errGeneric, 1 // there is none yet
		return
	}
	switch p.kind {
	case pduGet:
		for i := range p.ranges {
			out.vars = append(out.vars, from.get(p.ranges[i].start, s.granted))
		}
	case pduGetNext:
		for i := range p.ranges {
			out.vars = append(out.vars, from.next(&p.ranges[i], s.granted))
		}
	case pduGetBulk:
		out.vars = s.bulk(from, p, out.vars)
	}
	s.keeper.answered(p, from, out.vars)
}

// bulk answers the first ranges once and the others as often as asked for, one round after the other. A range that
// came to its end stays there. What is found is added to out.
func (s *session) bulk(from *picture, p *pdu, out []variable) []variable {
	once := min(int(p.nonRepeaters), len(p.ranges))
	for i := range p.ranges[:once] {
		out = append(out, from.next(&p.ranges[i], s.granted))
	}
	rest := slices.Clone(p.ranges[once:])
	for round := 0; round < int(p.maxRepetitions) && len(rest) > 0 && (round == 0 || len(out)+len(rest) <= maxBulk); round++ {
		ended := true
		for i := range rest {
			v := from.next(&rest[i], s.granted)
			out = append(out, v)
			ended = ended && v.typ == endOfMIBView
			rest[i].start, rest[i].include = v.name, v.typ == endOfMIBView && rest[i].include
		}
		if ended {
			break
		}
	}
	return out
}
