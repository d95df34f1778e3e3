package nethsmtest

import (
	"maps"
	"net/http"
	"slices"
)

func namespaceExists(c *call) bool { return c.contents.Namespaces[c.arguments["namespace"]] }

func listNamespaces(c *call) reply {
	items := []identified{}
	for _, namespace := range slices.Sorted(maps.Keys(c.contents.Namespaces)) {
		items = append(items, identified{namespace})
	}
	return encoded(http.StatusOK, items)
}

func putNamespace(c *call) reply {
	namespace := c.arguments["namespace"]
	if !idPattern.MatchString(namespace) {
		return message(http.StatusBadRequest, "Invalid namespace id")
	}
	if c.contents.Namespaces[namespace] {
		return message(http.StatusBadRequest, "namespace already exists") // the specification says 409, the device 400
	}
	c.contents.Namespaces[namespace] = true
	c.contents.Keys[namespace] = make(map[string]*key)
	c.changed = true
	return empty(http.StatusNoContent)
}

// deleteNamespace takes the keys along and leaves the users, who are then refused until the namespace exists again.
func deleteNamespace(c *call) reply {
	delete(c.contents.Namespaces, c.arguments["namespace"])
	delete(c.contents.Keys, c.arguments["namespace"])
	c.changed = true
	return empty(http.StatusNoContent)
}
