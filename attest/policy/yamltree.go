package policy

import (
	"bytes"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/reprosign/reprosign/attest"
)

// Bounds that keep the YAML parser's recursion shallow.
const (
	maxYAMLLine = 4096 // bytes in a line
	maxYAMLFlow = 4096 // opening brackets and braces
)

// jsonOfYAML returns the JSON that one YAML document spells. Only mappings,
// sequences, strings, decimal integers and booleans are admitted: anchors,
// tags, merge keys, null, block scalars and several documents are errors. An
// admin reviews what will be signed, so it must not be able to mean more than it shows.
func jsonOfYAML(data []byte) ([]byte, error) {
	if len(data) > MaxPolicy {
		return nil, malformed("%d bytes of YAML, at most %d allowed", len(data), MaxPolicy)
	}
	for line := range bytes.Lines(data) {
		if len(line) > maxYAMLLine {
			return nil, malformed("a line of YAML has %d bytes, at most %d allowed", len(line), maxYAMLLine)
		}
	}
	if n := bytes.Count(data, []byte("[")) + bytes.Count(data, []byte("{")); n > maxYAMLFlow {
		return nil, malformed("%d brackets and braces in YAML, at most %d allowed", n, maxYAMLFlow)
	}
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", attest.ErrMalformed, err)
	}
	if len(file.Docs) != 1 || file.Docs[0].Body == nil {
		return nil, malformed("%d YAML documents, want one", len(file.Docs))
	}
	var out bytes.Buffer
	if err := writeJSON(jsontext.NewEncoder(&out), file.Docs[0].Body); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func writeJSON(enc *jsontext.Encoder, node ast.Node) error {
	var err error
	switch n := node.(type) {
	case *ast.MappingNode:
		err = writeMapping(enc, n.Values)
	case *ast.MappingValueNode:
		err = writeMapping(enc, []*ast.MappingValueNode{n})
	case *ast.SequenceNode:
		return writeSequence(enc, n.Values)
	case *ast.StringNode:
		err = enc.WriteToken(jsontext.String(n.Value))
	case *ast.BoolNode:
		err = enc.WriteToken(jsontext.Bool(n.Value))
	case *ast.IntegerNode:
		// As it was typed: what JSON does not call a number, such as 0x10 or 010, is refused.
		err = enc.WriteValue(jsontext.Value(n.GetToken().Value))
	default:
		return malformed("YAML %v at %s: only mappings, sequences, strings, integers and booleans are allowed; put words that look like something else in quotes", node.Type(), place(node))
	}
	if err != nil {
		return fmt.Errorf("%w: YAML at %s: %w", attest.ErrMalformed, place(node), err)
	}
	return nil
}

func writeMapping(enc *jsontext.Encoder, pairs []*ast.MappingValueNode) error {
	if err := enc.WriteToken(jsontext.BeginObject); err != nil {
		return err
	}
	for _, pair := range pairs {
		key, ok := pair.Key.(*ast.StringNode)
		if !ok {
			return malformed("key %s is not a plain word", clip(pair.Key.String()))
		}
		if err := enc.WriteToken(jsontext.String(key.Value)); err != nil {
			return err
		}
		if err := writeJSON(enc, pair.Value); err != nil {
			return err
		}
	}
	return enc.WriteToken(jsontext.EndObject)
}

func writeSequence(enc *jsontext.Encoder, values []ast.Node) error {
	if err := enc.WriteToken(jsontext.BeginArray); err != nil {
		return err
	}
	for _, value := range values {
		if err := writeJSON(enc, value); err != nil {
			return err
		}
	}
	return enc.WriteToken(jsontext.EndArray)
}

func place(node ast.Node) string {
	if node == nil || node.GetToken() == nil || node.GetToken().Position == nil {
		return "an unknown place"
	}
	at := node.GetToken().Position
	return fmt.Sprintf("line %d, column %d", at.Line, at.Column)
}
