using System;
using System.Collections;
using System.Collections.Generic;
using System.Globalization;
using System.Text;

namespace Rfsn
{
    /// <summary>JSON without a library: objects are dictionaries, arrays are lists, numbers are doubles.</summary>
    public static class Json
    {
        /// <summary>Reads JSON. Throws FormatException when it is none.</summary>
        public static object Read(string text)
        {
            var at = 0;
            var value = Value(text, ref at);
            Skip(text, ref at);
            if (at != text.Length) throw Wrong(at);
            return value;
        }

        /// <summary>Writes dictionaries, lists, texts, numbers, booleans and null.</summary>
        public static string Write(object value)
        {
            var output = new StringBuilder();
            Write(value, output);
            return output.ToString();
        }

        private static void Write(object value, StringBuilder output)
        {
            if (value == null) output.Append("null");
            else if (value is bool) output.Append((bool)value ? "true" : "false");
            else if (value is string) Quote((string)value, output);
            else if (value is IDictionary<string, object>) WriteMap((IDictionary<string, object>)value, output);
            else if (value is IEnumerable) WriteList((IEnumerable)value, output);
            else output.Append(Convert.ToString(value, CultureInfo.InvariantCulture));
        }

        private static void WriteMap(IDictionary<string, object> map, StringBuilder output)
        {
            output.Append('{');
            var begin = output.Length;
            foreach (var entry in map)
            {
                if (output.Length > begin) output.Append(',');
                Quote(entry.Key, output);
                output.Append(':');
                Write(entry.Value, output);
            }
            output.Append('}');
        }

        private static void WriteList(IEnumerable list, StringBuilder output)
        {
            output.Append('[');
            var begin = output.Length;
            foreach (var item in list)
            {
                if (output.Length > begin) output.Append(',');
                Write(item, output);
            }
            output.Append(']');
        }

        private static void Quote(string text, StringBuilder output)
        {
            output.Append('"');
            foreach (var c in text)
            {
                if (c == '"' || c == '\\') output.Append('\\').Append(c);
                else if (c < ' ') output.Append("\\u").Append(((int)c).ToString("x4"));
                else output.Append(c);
            }
            output.Append('"');
        }

        private static object Value(string text, ref int at)
        {
            Skip(text, ref at);
            if (at >= text.Length) throw Wrong(at);
            switch (text[at])
            {
                case '{': return Object(text, ref at);
                case '[': return Array(text, ref at);
                case '"': return String(text, ref at);
            }
            if (Word(text, ref at, "true")) return true;
            if (Word(text, ref at, "false")) return false;
            if (Word(text, ref at, "null")) return null;
            var start = at;
            while (at < text.Length && "+-.eE0123456789".IndexOf(text[at]) >= 0) at++;
            if (start == at) throw Wrong(at);
            return double.Parse(text.Substring(start, at - start), CultureInfo.InvariantCulture);
        }

        private static Dictionary<string, object> Object(string text, ref int at)
        {
            var map = new Dictionary<string, object>();
            at++;
            Skip(text, ref at);
            if (Take(text, ref at, '}')) return map;
            do
            {
                Skip(text, ref at);
                var key = String(text, ref at);
                Skip(text, ref at);
                if (!Take(text, ref at, ':')) throw Wrong(at);
                map[key] = Value(text, ref at);
                Skip(text, ref at);
            } while (Take(text, ref at, ','));
            if (!Take(text, ref at, '}')) throw Wrong(at);
            return map;
        }

        private static List<object> Array(string text, ref int at)
        {
            var list = new List<object>();
            at++;
            Skip(text, ref at);
            if (Take(text, ref at, ']')) return list;
            do
            {
                list.Add(Value(text, ref at));
                Skip(text, ref at);
            } while (Take(text, ref at, ','));
            if (!Take(text, ref at, ']')) throw Wrong(at);
            return list;
        }

        private static string String(string text, ref int at)
        {
            if (!Take(text, ref at, '"')) throw Wrong(at);
            var output = new StringBuilder();
            while (at < text.Length && text[at] != '"')
            {
                var c = text[at++];
                if (c != '\\')
                {
                    output.Append(c);
                    continue;
                }
                var escaped = text[at++];
                if (escaped == 'u')
                {
                    output.Append((char)int.Parse(text.Substring(at, 4), NumberStyles.HexNumber));
                    at += 4;
                    continue;
                }
                var place = "bfnrt".IndexOf(escaped);
                output.Append(place < 0 ? escaped : "\b\f\n\r\t"[place]);
            }
            if (!Take(text, ref at, '"')) throw Wrong(at);
            return output.ToString();
        }

        private static bool Word(string text, ref int at, string word)
        {
            if (string.CompareOrdinal(text, at, word, 0, word.Length) != 0) return false;
            at += word.Length;
            return true;
        }

        private static bool Take(string text, ref int at, char wanted)
        {
            if (at >= text.Length || text[at] != wanted) return false;
            at++;
            return true;
        }

        private static void Skip(string text, ref int at)
        {
            while (at < text.Length && text[at] <= ' ') at++;
        }

        private static FormatException Wrong(int at)
        {
            return new FormatException("no JSON at character " + at);
        }
    }
}
