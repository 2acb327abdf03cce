package detect

import "varde/event"

// weight ranks evidence: by its confidence, and lower where the entry names another port, only a role, or was
// downgraded by an exception.
func weight(v *event.Evidence) int {
	w := int(v.Confidence)
	if v.PortMiss {
		w /= 2
	}
	if v.Info || v.Downgraded {
		w = min(w/4, 20)
	}
	return w
}

// The table that docs/warnings.md explains: what a verdict is worth with evidence that is strong (confidence 75 and
// more), fair (40 to 74) and weak.
var severities = map[event.Verdict][3]event.Severity{
	event.AnsweredOut:    {event.Critical, event.High, event.Medium},
	event.ContactOut:     {event.High, event.Medium, event.Low},
	event.AnsweredIn:     {event.High, event.Medium, event.Low},
	event.RefusedOut:     {event.Medium, event.Medium, event.Low},
	event.ReplyOnly:      {event.Medium, event.Low, event.Info},
	event.VerdictUnknown: {event.Medium, event.Low, event.Info},
	event.Passing:        {event.Low, event.Low, event.Info},
	event.ProbeIn:        {event.Low, event.Info, event.Info},
	event.RefusedIn:      {event.Info, event.Info, event.Info},
}

// severity is list confidence by direction by answer; evidence comes strongest first.
func severity(v event.Verdict, evidence []event.Evidence) event.Severity {
	if len(evidence) == 0 {
		return event.Info
	}
	row := severities[v]
	switch w := weight(&evidence[0]); {
	case w >= 75:
		return row[0]
	case w >= 40:
		return row[1]
	}
	return row[2]
}
