package agentx

import "encoding/binary"

// The header of every PDU (RFC 2741 section 6.1): version, type, flags, a reserved byte, then session, transaction
// and packet identifiers and the length of what follows, four bytes each.
const (
	version    = 1
	headerSize = 20

	// maxPayload bounds what follows the header. snmpd takes requests of up to 64 kB, in which a variable is at
	// least some 14 bytes; as a search range it takes about 100 here, so that half a megabyte is the most there is.
	maxPayload = 1 << 20
	maxRanges  = 8192 // searches in a request, and variables in a PDU
)

// Types of PDUs (RFC 2741 section 6.1).
const (
	pduOpen       = 1
	pduClose      = 2
	pduRegister   = 3
	pduGet        = 5
	pduGetNext    = 6
	pduGetBulk    = 7
	pduTestSet    = 8
	pduCommitSet  = 9
	pduUndoSet    = 10
	pduCleanupSet = 11
	pduPing       = 13
	pduResponse   = 18
)

// Flags of the header.
const (
	flagContext      = 0x08 // NON_DEFAULT_CONTEXT: a context precedes the rest
	flagNetworkOrder = 0x10 // NETWORK_BYTE_ORDER: numbers are big-endian
)

// Reasons of a Close (RFC 2741 section 6.2.2).
const (
	closeParseError = 2
	closeTimeouts   = 4
	closeShutdown   = 5
)

// Errors in a Response (RFC 2741 section 6.2.16), the lower ones those of SNMP.
const (
	errNone                  = 0
	errGeneric               = 5
	errCommitFailed          = 14
	errNotWritable           = 17
	errOpenFailed            = 256
	errNotOpen               = 257
	errUnsupportedContext    = 262
	errDuplicateRegistration = 263
	errUnknownRegistration   = 264
	errParse                 = 266
	errRequestDenied         = 267
	errProcessing            = 268
)

// valueType is the type of a variable's value as it stands in a PDU (RFC 2741 section 5.4).
type valueType uint16

// The types that SMIv2 has, and the three exceptions.
const (
	typeInteger   valueType = 2
	typeOctets    valueType = 4
	typeNull      valueType = 5
	typeOID       valueType = 6
	typeIPAddress valueType = 64
	typeCounter32 valueType = 65
	typeGauge32   valueType = 66
	typeTimeTicks valueType = 67
	typeOpaque    valueType = 68
	typeCounter64 valueType = 70

	noSuchObject   valueType = 128
	noSuchInstance valueType = 129
	endOfMIBView   valueType = 130
)

// value is one value of any type that SNMP has.
type value struct {
	typ    valueType
	number uint64 // of numbers; an Integer is the lower 32 bits in two's complement
	octets string // of octet strings, addresses and opaque values
	oid    oid
}

// variable is a value with its name, a VarBind.
type variable struct {
	name oid
	value
}

// searchRange is one question of a Get, GetNext or GetBulk: from start to before end.
type searchRange struct {
	start, end oid // end is empty where there is none
	include    bool
}

// pdu is everything that a PDU may hold; which fields are meant depends on the kind.
type pdu struct {
	kind  byte
	flags byte

	session, transaction, packet uint32

	arcs           []uint32 // what the identifiers in ranges and vars are made of
	context        string   // of a PDU with flagContext
	ranges         []searchRange
	nonRepeaters   uint16 // of a GetBulk
	maxRepetitions uint16
	vars           []variable // of a TestSet or Response
	reason         byte       // of a Close
	uptime         uint32     // of a Response: sysUpTime of the master, in 1/100 s
	err            uint16     // of a Response
	index          uint16     // which variable the error is about, from 1
}

// order is the byte order that the flags tell.
func (p *pdu) order() byteOrder {
	if p.flags&flagNetworkOrder != 0 {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

// byteOrder reads and writes numbers.
type byteOrder interface {
	binary.ByteOrder
	binary.AppendByteOrder
}
