package nethsmtest

import (
	"net/http"
	"strings"
)

// route is one path of the API.
type route struct {
	path    string // segments; {x} stands for one id, {prefix}* for an id's beginning and a literal star
	states  state
	methods map[string]method
}

// method is what one HTTP method does on a path.
type method struct {
	allow    func(*call) bool // nil: public
	body     bodyRule
	produces string           // content type of success, "" for none
	needs    func(*call) bool // whether the thing named exists; nil: not asked
	handle   func(*call) reply
}

// bodyRule says which Content-Type a method takes.
type bodyRule int

const (
	anyBody       bodyRule = iota // the type is not looked at
	jsonBody                      // application/json, nothing else
	importBody                    // application/json without parameters, or multipart/form-data
	bytesBody                     // application/octet-stream
	noBodyOrBytes                 // a PUT without a body: application/json, application/octet-stream or none
)

func (r *route) limit() int64 {
	if r.path == "keys/{key}/sign" {
		return maxSignBodyBytes
	}
	return maxBodyBytes
}

// routes is the API, literal segments before ids.
var routes = []route{
	{"info", anyState, map[string]method{"GET": {produces: typeJSON, handle: getInfo}}},
	{"health/alive", anyState, map[string]method{"GET": {handle: getAlive}}},
	{"health/ready", anyState, map[string]method{"GET": {handle: getReady}}},
	{"health/state", anyState, map[string]method{"GET": {produces: typeJSON, handle: getState}}},
	{"provision", unprovisioned, map[string]method{"POST": {handle: provision}}},
	{"unlock", locked, map[string]method{"POST": {handle: unlock}}},
	{"lock", operational, map[string]method{"POST": {allow: rootAdministrator, handle: lock}}},
	{"random", operational, map[string]method{"POST": {allow: operator, produces: typeJSON, handle: random}}},
	{"metrics", operational, map[string]method{"GET": {allow: metricsReader, produces: typeJSON, handle: getMetrics}}},

	{"users", operational, map[string]method{
		"GET":  {allow: administrator, produces: typeJSON, handle: listUsers},
		"POST": {allow: administrator, handle: postUser},
	}},
	{"users/{user}", operational, map[string]method{
		"GET":    {allow: readerOfUser, produces: typeJSON, needs: userExists, handle: getUser},
		"PUT":    {allow: administrator, body: jsonBody, handle: putUser},
		"POST":   {allow: administrator, handle: postUser}, // users/ns~
		"DELETE": {allow: administratorOfUser, needs: userExists, handle: deleteUser},
	}},
	{"users/{user}/passphrase", operational, map[string]method{
		"POST": {allow: ownerOfPassphrase, needs: userExists, handle: postPassphrase},
	}},
	{"users/{user}/tags", operational, map[string]method{
		"GET": {allow: readerOfUser, produces: typeJSON, needs: userExists, handle: getUserTags},
	}},
	{"users/{user}/tags/{tag}", operational, map[string]method{
		"PUT":    {allow: administratorOfUser, body: noBodyOrBytes, needs: userExists, handle: putUserTag},
		"DELETE": {allow: administratorOfUser, needs: userExists, handle: deleteUserTag},
	}},

	{"namespaces", operational, map[string]method{
		"GET": {allow: rootAdministrator, produces: typeJSON, handle: listNamespaces},
	}},
	{"namespaces/{namespace}", operational, map[string]method{
		"PUT":    {allow: rootAdministrator, body: noBodyOrBytes, handle: putNamespace},
		"DELETE": {allow: rootAdministrator, needs: namespaceExists, handle: deleteNamespace},
	}},

	{"keys", operational, map[string]method{
		"GET":  {allow: administratorOrOperator, produces: typeJSON, handle: listKeys},
		"POST": {allow: administrator, body: importBody, handle: importKey},
	}},
	{"keys/generate", operational, map[string]method{
		"POST": {allow: administrator, body: jsonBody, handle: generateKey},
	}},
	{"keys/{prefix}*", operational, map[string]method{
		"GET": {allow: administratorOrOperator, produces: typeJSON, handle: listKeys},
	}},
	{"keys/{key}", operational, map[string]method{
		"GET":    {allow: administratorOrOperator, produces: typeJSON, needs: keyExists, handle: getKey},
		"PUT":    {allow: administrator, body: importBody, handle: importKey},
		"DELETE": {allow: administrator, needs: keyExists, handle: deleteKey},
	}},
	{"keys/{key}/public.pem", operational, map[string]method{
		"GET": {allow: administratorOrOperator, produces: typePEM, needs: keyExists, handle: getPublicKey},
	}},
	{"keys/{key}/cert", operational, map[string]method{
		"GET":    {allow: administratorOrOperator, produces: typeBytes, needs: keyExists, handle: getCertificate},
		"PUT":    {allow: administrator, body: bytesBody, needs: keyExists, handle: putCertificate},
		"DELETE": {allow: administrator, needs: keyExists, handle: deleteCertificate},
	}},
	{"keys/{key}/restrictions/tags/{tag}", operational, map[string]method{
		"PUT":    {allow: administrator, body: noBodyOrBytes, needs: keyExists, handle: putKeyTag},
		"DELETE": {allow: administrator, needs: keyExists, handle: deleteKeyTag},
	}},
	{"keys/{key}/sign", operational, map[string]method{
		"POST": {allow: operator, produces: typeJSON, needs: keyExists, handle: sign},
	}},
}

// match finds the route of a URL path, and its ids by the name in braces.
func match(path string) (*route, map[string]string) {
	path, ok := strings.CutPrefix(path, "/api/v1/")
	if !ok {
		return nil, nil
	}
	segments := strings.Split(path, "/")
	for i := range routes {
		if arguments, ok := routes[i].match(segments); ok {
			return &routes[i], arguments
		}
	}
	return nil, nil
}

func (r *route) match(segments []string) (map[string]string, bool) {
	patterns := strings.Split(r.path, "/")
	if len(patterns) != len(segments) {
		return nil, false
	}
	arguments := make(map[string]string)
	for i, pattern := range patterns {
		segment := segments[i]
		if rest, ok := strings.CutSuffix(pattern, "}*"); ok {
			if segment, ok = strings.CutSuffix(segment, "*"); !ok {
				return nil, false
			}
			pattern = rest + "}"
		} else if segment == "" {
			return nil, false
		}
		switch {
		case strings.HasPrefix(pattern, "{"):
			arguments[strings.Trim(pattern, "{}")] = segment
		case pattern != segment:
			return nil, false
		}
	}
	return arguments, true
}

// knownMethods are those the device's HTTP library knows; others are 501 instead of 405.
var knownMethods = map[string]bool{
	http.MethodGet: true, http.MethodHead: true, http.MethodPost: true, http.MethodPut: true, http.MethodDelete: true,
	http.MethodOptions: true, http.MethodTrace: true, http.MethodConnect: true,
}
