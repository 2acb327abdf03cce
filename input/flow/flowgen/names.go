package flowgen

import "encoding/binary"

// Elements of a table of interface names.
const (
	ingressInterface = 10
	interfaceName    = 82
	nameLength       = 32 // of a name in NetFlow v9, which has no variable lengths
	variableLength   = 0xffff
)

// sendNames writes the table of interface names, an options template and a record for each: in NetFlow v9 as Cisco's
// interface table, with the system for its scope; in IPFIX with the interface for its scope and names as long as they are.
func (x *Exporter) sendNames(now int64, send func([]byte)) {
	const spare = 4 // for the padding of the set
	for i := 0; i < len(x.cfg.Interfaces); {
		b := append(x.open(), x.namesTemplate()...)
		start, b := openSet(b, namesTemplate)
		records := 0
		for ; i < len(x.cfg.Interfaces); i++ {
			r := x.nameRecord(uint32(i+1), x.cfg.Interfaces[i])
			if len(b)+len(r)+spare > x.cfg.Payload && records > 0 {
				break
			}
			b = append(b, r...)
			records++
		}
		send(x.seal(closeSet(b, start), now, 1+records, records))
	}
}

func (x *Exporter) namesTemplate() []byte {
	words, set := []uint16{namesTemplate, 4, 8, 1, 4, ingressInterface, 4, interfaceName, nameLength}, uint16(1)
	if x.cfg.Protocol == IPFIX {
		words, set = []uint16{namesTemplate, 2, 1, ingressInterface, 4, interfaceName, variableLength}, 3
	}
	start, b := openSet(nil, set)
	for _, v := range words {
		b = binary.BigEndian.AppendUint16(b, v)
	}
	return closeSet(b, start)
}

func (x *Exporter) nameRecord(index uint32, name string) []byte {
	be := binary.BigEndian
	if x.cfg.Protocol == IPFIX {
		name = name[:min(len(name), 254)]
		return append(append(be.AppendUint32(nil, index), byte(len(name))), name...)
	}
	b := be.AppendUint32(be.AppendUint32(nil, 0), index) // the system has no number
	return append(append(b, name[:min(len(name), nameLength)]...), make([]byte, nameLength-min(len(name), nameLength))...)
}
