package policy

// ParseYAML reads what admins type.
func ParseYAML(data []byte) (Policy, error) { return Policy{}, nil }

// YAML returns the policy as admins type it.
func (p Policy) YAML() ([]byte, error) { return nil, nil }
