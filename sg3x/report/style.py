"""How the report looks: one column on a phone, wide pictures on a desk; Okabe and Ito's colours tell runs apart."""

STYLE = """
:root{color-scheme:light;--ink:#1d2329;--faint:#5c6670;--line:#dfe4e8;--paper:#fff;--wash:#f5f7f8;--a:#0072b2;--b:#c04d00}
*{box-sizing:border-box}
body{margin:0;background:var(--wash);color:var(--ink);
 font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
main{max-width:1080px;margin:0 auto;padding:0 16px 48px}
body.many main{max-width:1500px}
header{padding:32px 0 12px}
h1{font-size:1.9rem;line-height:1.2;margin:0 0 6px}
h2{font-size:1.25rem;margin:0 0 8px}
h3{font-size:1rem;margin:0 0 4px}
p{margin:0 0 10px}
header p,section>p,footer,.meaning,.card p,.error{color:var(--faint)}
section,aside,.card{background:var(--paper);border:1px solid var(--line);border-radius:10px;padding:16px 18px;margin:14px 0}
aside{border-left:4px solid #e69f00;background:#fffaf0}
aside h2{font-size:1rem}
.plain{list-style:none;margin:0;padding:0}
.plain li{margin:0 0 6px}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(225px,1fr));gap:14px;margin:14px 0}
.card{margin:0}
.card h3{color:var(--faint);font-weight:600}
.value{display:block;font-size:1.65rem;font-weight:650;line-height:1.25;margin-bottom:4px;font-variant-numeric:tabular-nums}
.many .value{font-size:1.35rem}
.value .error{font-size:.9rem;font-weight:400}
.card p{font-size:.86rem;margin:0}
.card p b{color:var(--ink)}
.many .run0{color:var(--a)}
.many .run1{color:var(--b)}
.columns{display:grid;grid-template-columns:1fr;gap:16px}
.many .columns{grid-template-columns:repeat(2,minmax(0,1fr))}
figure{margin:0;text-align:center;min-width:0}
figcaption{font-weight:600;text-align:left;margin-bottom:4px}
img,video{display:block;max-width:100%;height:auto;margin:0 auto;border-radius:4px}
video{min-width:min(100%,420px)}
.missing{padding:24px;background:var(--wash)}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.93rem}
th,td{text-align:left;vertical-align:top;padding:7px 14px 7px 0;border-bottom:1px solid var(--line)}
.scroll+p{margin-top:12px}
.numbers th{font-weight:600}
.numbers td{font-variant-numeric:tabular-nums;white-space:nowrap}
.numbers .meaning{white-space:normal;font-size:.86rem;width:46%}
.numbers code{display:block;font-weight:400;color:var(--faint)}
.numbers .group th{padding-top:18px;color:var(--faint);font-size:.8rem;letter-spacing:.05em;text-transform:uppercase}
code{font:.86em ui-monospace,"DejaVu Sans Mono",Menlo,monospace}
.facts th,.params th{font-weight:400;color:var(--faint)}
.facts code{word-break:break-all}
.params td{font-family:ui-monospace,"DejaVu Sans Mono",monospace;font-size:.84rem;word-break:break-word}
.params th{font-family:ui-monospace,"DejaVu Sans Mono",monospace;font-size:.84rem;padding-right:24px;width:40%}
summary{cursor:pointer;font-weight:600;margin:4px 0 8px}
footer{padding:20px 2px;font-size:.86rem}
@media (max-width:700px){
 main{padding:0 10px 32px}
 header{padding:20px 2px 6px}
 h1{font-size:1.5rem}
 section,aside,.card{padding:12px;border-radius:8px}
 .cards{grid-template-columns:1fr;gap:10px}
 .many .columns{grid-template-columns:1fr}
 .one .numbers tr{display:grid;grid-template-columns:1fr auto;border-bottom:1px solid var(--line);padding:6px 0}
 .one .numbers th,.one .numbers td{border:0;padding:2px 0}
 .one .numbers .meaning{grid-column:1/-1;width:auto}
 .one .facts tr,.one .params tr{display:block;padding:4px 0;border-bottom:1px solid var(--line)}
 .one .facts th,.one .facts td,.one .params th,.one .params td{display:block;border:0;padding:1px 0;width:auto}
}
"""
