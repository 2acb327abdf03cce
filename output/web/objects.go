package web

import (
	"net/http"
	"strings"
)

// Variable is one value as a walk through the SNMP agent shows it.
type Variable struct {
	OID   string `json:"oid"`
	Name  string `json:"name"` // of the object in its MIB, with what names the instance; "" is not known
	Type  string `json:"type"` // as SNMP has it: Counter64, STRING ...
	Value string `json:"value"`
}

// objectsAnswer is what SNMP shows.
type objectsAnswer struct {
	On    bool       `json:"on"`    // varde answers through an SNMP agent
	Total int        `json:"total"` // values in all
	Rows  []Variable `json:"rows"`
}

// getObjects tells what a walk through the SNMP agent would show now, for whoever looks for the right object.
func (s *Server) getObjects(r *http.Request) (answer, error) {
	csv, err := format(r)
	if err != nil {
		return answer{}, err
	}
	match := strings.ToLower(r.URL.Query().Get("match"))
	if len(match) > maxName {
		return answer{}, bad("match is too long")
	}
	out := objectsAnswer{On: s.deps.SNMP != nil, Rows: []Variable{}}
	if out.On {
		all, err := s.deps.SNMP(r.Context())
		if err != nil {
			return answer{}, err
		}
		out.Total = len(all)
		for _, v := range all {
			if strings.Contains(strings.ToLower(v.Name), match) || strings.HasPrefix(v.OID, strings.TrimPrefix(match, ".")) {
				out.Rows = append(out.Rows, v)
			}
		}
	}
	if !csv {
		return answer{body: out}, nil
	}
	return answer{table: &table{name: "objects", columns: strings.Fields("oid name type value"), rows: func(row func(...any)) {
		for _, v := range out.Rows {
			row(v.OID, v.Name, v.Type, v.Value)
		}
	}}}, nil
}
