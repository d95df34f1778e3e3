package nethsmtest

import (
	"encoding/base64"
	"errors"
	"net/http"
	"strings"

	"github.com/go-json-experiment/json"
)

// decode parses the body into value, a struct all of whose fields are known and whose required ones the caller checks.
func (c *call) decode(value any) *reply {
	return decode(c.body, value)
}

func decode(body []byte, value any) *reply {
	strict, err := normalise(body)
	if err == nil {
		err = json.Unmarshal(strict, value, json.RejectUnknownMembers(true))
	}
	if err != nil {
		return new(message(http.StatusBadRequest, "Invalid data for JSON schema: %v", err))
	}
	return nil
}

// normalise turns the device's JSON, a superset, into JSON: names without quotes are quoted and comments removed. JSON
// comes back unchanged. What is neither is not found out here: the strict parser sees to it.
func normalise(in []byte) ([]byte, error) {
	out := make([]byte, 0, len(in))
	for len(in) > 0 {
		switch c := in[0]; {
		case c == '"':
			n, err := stringLength(in)
			if err != nil {
				return nil, err
			}
			out, in = append(out, in[:n]...), in[n:]
		case c == '/':
			n, err := commentLength(in)
			if err != nil {
				return nil, err
			}
			out, in = append(out, ' '), in[n:]
		case isNameByte(c) || c == '-' || c == '.' || c == '+':
			n := wordLength(in)
			word := in[:n]
			in = in[n:]
			if isName(word) && isFieldName(in) {
				out = append(append(append(out, '"'), word...), '"')
			} else {
				out = append(out, word...)
			}
		default:
			out, in = append(out, c), in[1:]
		}
	}
	return out, nil
}

var (
	errOpenString  = errors.New("string without end")
	errOpenComment = errors.New("comment without end")
	errSlash       = errors.New("slash outside a string or comment")
)

// stringLength returns the length of the string that in begins with, quotes included.
func stringLength(in []byte) (int, error) {
	for i := 1; i < len(in); i++ {
		switch in[i] {
		case '\\':
			i++
		case '"':
			return i + 1, nil
		}
	}
	return 0, errOpenString
}

// commentLength returns the length of the comment that in begins with: to the end of the line, which stays, or to "*/".
func commentLength(in []byte) (int, error) {
	text := string(in)
	switch {
	case strings.HasPrefix(text, "//"):
		if n := strings.IndexByte(text, '\n'); n >= 0 {
			return n, nil
		}
		return len(text), nil
	case strings.HasPrefix(text, "/*"):
		if n := strings.Index(text[2:], "*/"); n >= 0 {
			return 2 + n + 2, nil
		}
		return 0, errOpenComment
	}
	return 0, errSlash
}

// wordLength returns the length of the name, literal or number that in begins with.
func wordLength(in []byte) int {
	for i, c := range in {
		if !isNameByte(c) && c != '-' && c != '.' && c != '+' {
			return i
		}
	}
	return len(in)
}

func isNameByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_'
}

func isName(word []byte) bool {
	for i, c := range word {
		if !isNameByte(c) || i == 0 && '0' <= c && c <= '9' {
			return false
		}
	}
	return true
}

// isFieldName reports whether a colon comes next, past white space and comments.
func isFieldName(rest []byte) bool {
	for len(rest) > 0 {
		switch rest[0] {
		case ' ', '\t', '\r', '\n':
			rest = rest[1:]
		case '/':
			n, err := commentLength(rest)
			if err != nil {
				return false
			}
			rest = rest[n:]
		default:
			return rest[0] == ':'
		}
	}
	return false
}

var errBase64Newline = errors.New("line break in base64")

// decodeBase64 accepts what the device accepts: padded standard base64 whose unused bits may be set. encoding/base64
// would also skip line breaks.
func decodeBase64(text string) ([]byte, error) {
	if strings.ContainsAny(text, "\r\n") {
		return nil, errBase64Newline
	}
	return base64.StdEncoding.DecodeString(text)
}

func encodeBase64(data []byte) string { return base64.StdEncoding.EncodeToString(data) }
