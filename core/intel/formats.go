package intel

// Formats are all forms of lists, strict ones first, so that detection by content tries them in this order.
func Formats() []Format {
	return []Format{drop(), feodoJSON(), threatFoxJSON(), otx(), misp(), stix(), threatFox(), feodo(), urlhaus(), dshield(), table(), plain()}
}

// FormatNamed finds a format by its name.
func FormatNamed(name string) (Format, bool) {
	for _, f := range Formats() {
		if f.Name == name {
			return f, true
		}
	}
	return Format{}, false
}

// Detect finds the format of a list by its first bytes.
func Detect(head []byte) (Format, bool) {
	for _, f := range Formats() {
		if f.Sniff(head) {
			return f, true
		}
	}
	return Format{}, false
}
